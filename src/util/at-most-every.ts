interface Reported {
  readonly code?: string;
  readonly reason?: string;
}

/**
 * Calls `print` for the first line of a code and reason at once, and then at most once in `ms`, with how many of that
 * kind were left out before. One kind does not hide another: a scanner's requests and a wrong secret are both 401.
 */
export function atMostEvery<Line extends Reported>(
  ms: number,
  print: (line: Line, leftOut: number) => void,
): (line: Line) => void {
  // As many as there are codes and reasons, which are ours.
  const kinds = new Map<string, { nextAt: number; leftOut: number }>();
  return (line) => {
    const kind = `${line.code} ${line.reason}`;
    const now = performance.now();
    const entry = kinds.get(kind) ?? { nextAt: now, leftOut: 0 };
    if (now < entry.nextAt) {
      entry.leftOut++;
      return;
    }
    kinds.set(kind, { nextAt: now + ms, leftOut: 0 });
    print(line, entry.leftOut);
  };
}
