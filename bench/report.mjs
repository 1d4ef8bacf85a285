export function quantile(values, q) {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const below = sorted[Math.floor(at)];
  return below + (sorted[Math.ceil(at)] - below) * (at % 1);
}

export function median(values) {
  return quantile(values, 0.5);
}

/**
 * The two values of each round divided, and the median of that over the rounds: what slows the machine down for a
 * while hits both alike, and drops out.
 */
export function pairedRatios(rounds, above, below) {
  return rounds.map((round) => round[above] / round[below]);
}

/** The measurements of each part, as `results.json` keeps them. */
export const measured = {};
let part = { figures: [], goals: [] };

export function beginPart(name, about) {
  part = { ...about, figures: [], goals: [] };
  measured[name] = part;
}

/** Keeps a figure, `{ name, value, unit, about }`, and returns it. */
export function keep(figure) {
  part.figures.push(figure);
  return figure;
}

export function heading(text) {
  part.title = text;
  console.log(`\n${text}\n${'-'.repeat(text.length)}`);
}

/** Prints rows of cells in columns: the first to the left, figures to the right, and text after them to the left. */
export function table(rows, alignments) {
  const widths = alignments.map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  for (const row of rows) {
    const cells = row.map((cell, i) => (alignments[i] === 'right' ? cell.padStart(widths[i]) : cell.padEnd(widths[i])));
    console.log(`  ${cells.join('  ').trimEnd()}`);
  }
}

/** Prints figures beside their goals. `values` are one a round; the middle half of them shows how sure the median is. */
export function goals(lines) {
  table(
    lines.map(({ name, values, unit = '', digits = 2, atMost, atLeast }) => {
      const value = median(values);
      const met = atMost === undefined ? value >= atLeast : value <= atMost;
      const goal = atMost === undefined ? `goal at least ${atLeast}` : `goal at most ${atMost}`;
      const [low, high] = [quantile(values, 0.25), quantile(values, 0.75)];
      part.goals.push({ name, value, low, high, unit: unit.trim(), atMost, atLeast, met });
      const middle = `(${low.toFixed(digits)} to ${high.toFixed(digits)})`;
      return [name, value.toFixed(digits) + unit, middle, goal + unit, met ? 'met' : 'NOT MET'];
    }),
    ['left', 'right', 'left', 'left', 'left'],
  );
}
