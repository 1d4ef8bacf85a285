const units: Readonly<Record<string, number>> = { b: 0, kb: 1, mb: 2, gb: 3, tb: 4, pb: 5 };

/** Parses a number of bytes, or a string such as `'64kb'` in units of 1,024, as `raw-body` does. */
export function parseLimit(limit: unknown): number | undefined {
  const parts = /^(\d+(?:\.\d+)?) *(b|kb|mb|gb|tb|pb)?$/i.exec(String(limit));
  // raw-body reads an invalid limit as "no limit", which would let anybody fill the memory.
  if (!parts) return undefined;
  const bytes = Math.floor(Number(parts[1]) * 1024 ** (units[(parts[2] ?? 'b').toLowerCase()] as number));
  return bytes >= 1 && Number.isFinite(bytes) ? bytes : undefined;
}
