/** An object with unknown fields. */
export type Fields = Readonly<Record<string, unknown>>;

type Type = 'string' | 'number' | 'boolean';

/** The value of a JSON body. Undefined for anything else. */
export function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A field of any value. Undefined if the value is no object. */
export function fieldOf(value: unknown, name: string): unknown {
  return isFields(value) ? value[name] : undefined;
}

/** The value as an object that has at least its identifying field. Undefined for anything else. */
export function objectWith<T>(value: unknown, field: keyof T & string, type: Type): T | undefined {
  return typeof fieldOf(value, field) === type ? (value as T) : undefined;
}

/** A list of such objects. */
export function listWith<T>(value: unknown, field: keyof T & string, type: Type): readonly T[] | undefined {
  return Array.isArray(value) && value.every((item) => objectWith(item, field as never, type)) ? value : undefined;
}
