const units: Readonly<Record<string, number>> = { b: 0, kb: 1, mb: 2, gb: 3, tb: 4, pb: 5 };

/** A number of bytes, or a text such as `'64kb'` in units of 1,024, as `raw-body` takes it. */
export function parseLimit(limit: unknown): number | undefined {
  const parts = /^(\d+(?:\.\d+)?) *(b|kb|mb|gb|tb|pb)?$/i.exec(String(limit));
  // raw-body takes what it cannot read for "no limit"; here that would let anybody fill the memory.
  if (!parts) return undefined;
  const bytes = Math.floor(Number(parts[1]) * 1024 ** (units[(parts[2] ?? 'b').toLowerCase()] as number));
  return bytes >= 1 && Number.isFinite(bytes) ? bytes : undefined;
}
