/** Calls `print` for the first line at once, and then at most once in `ms`, with how many were left out before. */
export function atMostEvery<Line>(ms: number, print: (line: Line, leftOut: number) => void): (line: Line) => void {
  let nextAt = Number.NEGATIVE_INFINITY;
  let leftOut = 0;
  return (line) => {
    const now = performance.now();
    if (now < nextAt) {
      leftOut++;
      return;
    }
    nextAt = now + ms;
    print(line, leftOut);
    leftOut = 0;
  };
}
