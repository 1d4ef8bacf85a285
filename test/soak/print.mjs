const columns = [
  ['backend', 15],
  ['events', 6],
  ['deliveries', 10],
  ['attempts', 8],
  ['kills', 5],
  ['outages', 7],
  ['sink failures', 13],
  ['received', 8],
  ['repeats (allowed)', 17],
  ['lost', 4],
  ['4xx', 4],
  ['early 2xx', 9],
  ['slowest ping', 12],
  ['seconds', 7],
];

export function printHead() {
  print(Object.fromEntries(columns.map(([name]) => [name, name])));
}

export function printRow(figures) {
  progress('');
  print({ ...figures, 'repeats (allowed)': `${figures.repeats} (${figures.allowed})` });
}

function print(cells) {
  const texts = columns.map(([name, width], i) => String(cells[name])[i === 0 ? 'padEnd' : 'padStart'](width));
  console.log(texts.join('  '));
}

/** One line that is written over, on a terminal only. */
export function progress(line) {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${line}`);
}

/** The violations, and what the processes had to say about the events that they name. */
export function printProblems({ backend, seed, heldUpMs, log }, violations) {
  const named = new Set(violations.join(' ').match(/[0-9a-f]{32}/g));
  const lines = log.filter(({ line }) => named.has(/[0-9a-f]{32}/.exec(line)?.[0]));
  console.error(
    [
      `\n${backend} with seed ${seed}: NOT as it should be. The soak itself was held up for ${heldUpMs.toFixed()} ms at most.`,
      ...violations.map((violation) => `  - ${violation}`),
      ...section('What was said about these events:', lines.slice(-60)),
      ...section('What was said last:', log.slice(-15)),
    ].join('\n'),
  );
}

function section(title, lines) {
  return lines.length === 0 ? [] : [`  ${title}`, ...lines.map(({ life, line }) => `    ${life} ${line}`)];
}
