/** JSON as it was written: numbers and keys keep their text and order, which `JSON.parse` loses. */
type Node =
  | { readonly literal: string }
  | { readonly text: string }
  | { readonly items: readonly Node[] }
  | { readonly fields: readonly (readonly [key: string, value: Node])[] };

export interface PrintStyle {
  /** Behind a comma and a colon, or of each line. */
  readonly comma: string;
  readonly colon: string;
  readonly indent?: string;
  /** How characters of a text are written. */
  readonly text: (json: string) => string;
  /** How the top object's fields are ordered. */
  readonly order: (keys: readonly string[]) => readonly string[];
  /** What whole numbers under `timestamp` end with: Python's `.0`, which other languages drop. */
  readonly wholeTimestamp: '' | '.0';
}

const token = /\s*("(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|[{}[\],:])\s*/y;

/** Undefined for what is no JSON. */
export function parseSource(text: string): Node | undefined {
  try {
    JSON.parse(text);
  } catch {
    return undefined;
  }
  let at = 0;
  const next = (): string => {
    token.lastIndex = at;
    const found = token.exec(text)?.[1] ?? '';
    at = token.lastIndex;
    return found;
  };
  const peek = (): string => {
    const before = at;
    const found = next();
    at = before;
    return found;
  };
  const parse = (): Node => {
    const first = next();
    if (first === '[') {
      const items: Node[] = [];
      while (peek() !== ']') {
        items.push(parse());
        if (peek() === ',') next();
      }
      next();
      return { items };
    }
    if (first === '{') {
      const fields: (readonly [string, Node])[] = [];
      while (peek() !== '}') {
        const key = JSON.parse(next()) as string;
        next();
        fields.push([key, parse()]);
        if (peek() === ',') next();
      }
      next();
      return { fields };
    }
    return first.startsWith('"') ? { text: JSON.parse(first) as string } : { literal: first };
  };
  return parse();
}

export function print(node: Node, style: PrintStyle, depth = 0): string {
  if ('literal' in node) return node.literal;
  if ('text' in node) return style.text(JSON.stringify(node.text));
  const inner =
    'items' in node
      ? node.items.map((item) => print(item, style, depth + 1))
      : ordered(node.fields, style, depth).map(
          ([key, value]) =>
            `${style.text(JSON.stringify(key))}:${style.colon}${printField(key, value, style, depth + 1)}`,
        );
  const [open, close] = 'items' in node ? '[]' : '{}';
  if (inner.length === 0 || style.indent === undefined) return `${open}${inner.join(`,${style.comma}`)}${close}`;
  const line = `\n${style.indent.repeat(depth + 1)}`;
  return `${open}${line}${inner.join(`,${line}`)}\n${style.indent.repeat(depth)}${close}`;
}

function ordered(
  fields: readonly (readonly [string, Node])[],
  { order }: PrintStyle,
  depth: number,
): readonly (readonly [string, Node])[] {
  if (depth > 0) return fields;
  const values = new Map(fields);
  return order([...values.keys()]).map((key) => [key, values.get(key) as Node]);
}

function printField(key: string, value: Node, style: PrintStyle, depth: number): string {
  const text = print(value, style, depth);
  const whole = key === 'timestamp' ? /^(\d+)(\.0)?$/.exec(text) : null;
  return whole ? `${whole[1]}${style.wholeTimestamp}` : text;
}
