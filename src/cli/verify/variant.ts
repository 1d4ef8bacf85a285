/** What somebody has to mend, and how. */
export interface Cause {
  /** Stable, for scripts. */
  readonly code: string;
  readonly cause: string;
  readonly cure: string;
}

/** Something that may be what was meant, and what is wrong if it is. What was given comes first and has no causes. */
export interface Variant<Value> {
  readonly value: Value;
  readonly causes: readonly Cause[];
}

export function asGiven<Value>(value: Value): Variant<Value> {
  return { value, causes: [] };
}

export function variant<Value>(value: Value, code: string, cause: string, cure: string): Variant<Value> {
  return { value, causes: [{ code, cause, cure }] };
}
