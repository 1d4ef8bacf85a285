const blocks = '▁▂▃▄▅▆▇█';
const width = 60;

/** One line a series: its course from its least to its most, and what was made of it. */
export function chartOf(name, unit, values, { growth, allowed, isFlat }) {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const columns = Math.min(width, values.length);
  const course = Array.from({ length: columns }, (_, i) => {
    const part = values.slice(
      Math.floor((i * values.length) / columns),
      Math.floor(((i + 1) * values.length) / columns),
    );
    const height = most === least ? 0 : (Math.max(...part) - least) / (most - least);
    return blocks[Math.round(height * (blocks.length - 1))];
  });
  const text = (value) => `${value.toFixed(1)} ${unit}`.trim();
  const verdict = `${growth < 0 ? '' : '+'}${text(growth)} of ${text(allowed)} allowed`;
  return `${name.padEnd(13)}  ${course.join('').padEnd(columns)}  ${text(least)} to ${text(most)}; ${verdict}: ${isFlat ? 'flat' : 'NOT FLAT'}`;
}
