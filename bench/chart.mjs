// npm run bench:chart
// Draws what `npm run bench` has last measured of CPU time and load: results.json to chart.svg.
import { readFile, writeFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';

const width = 880;
const margin = 24;
const labelWidth = 150;
const barsAt = margin + labelWidth;
/** As much as is left beside the longest bar for its figure. */
const barsWidth = width - barsAt - 150;
const rowHeight = 42;
const lineHeight = 22;

const drawn = [
  {
    part: 'cpu',
    title: 'CPU time a delivery, without the network',
    better: 'shorter is better',
    legend: 'goal: a bar ends before its mark',
    digits: 1,
  },
  {
    part: 'load',
    title: 'Requests a second over 32 loopback connections',
    better: 'longer is better',
    legend: 'goal: a bar reaches its mark',
    digits: 0,
  },
  {
    part: 'delivering',
    title: 'Delivered a second, from an outbox and from BullMQ',
    better: 'longer is better',
    legend: 'goal: a bar reaches its mark',
    digits: 0,
  },
  ...['p99 answer', 'longest turn', 'peak RSS'].map((of) => ({
    part: 'storm',
    of,
    title: `A storm: ${of}`,
    better: 'shorter is better',
    legend: 'goal: a bar ends before its mark',
    digits: 0,
  })),
];

const style = `
  svg { --page: #ffffff; --text: #1f2328; --faint: #59636e; --other: #b1bac4; --ours: #0969da; --goal: #bc4c00 }
  @media (prefers-color-scheme: dark) {
    svg { --page: #0d1117; --text: #f0f6fc; --faint: #9198a1; --other: #545d68; --ours: #4493f8; --goal: #f0883e }
  }
  text { font: 13px system-ui, 'Segoe UI', Helvetica, Arial, sans-serif; fill: var(--text) }
  .title { font-size: 16px; font-weight: 600 }
  .ours-label { font-weight: 600 }
  .faint { font-size: 12px; fill: var(--faint) }
  .page { fill: var(--page) }
  .other { fill: var(--other) }
  .ours { fill: var(--ours) }
  .goal { fill: var(--goal); stroke: var(--page); stroke-width: 1.5 }
  .goal-label { font-size: 12px; fill: var(--goal) }
  .figure { font-variant-numeric: tabular-nums }`;

/** The picture, of as much as has been measured. Throws when that is nothing. */
export function chart(results) {
  const sections = drawn.filter(({ part }) => results[part]?.figures.length > 0);
  if (sections.length === 0) throw new Error('results.json has neither cpu nor load: npm run bench -- cpu load');
  let y = margin;
  const parts = [];
  for (const section of sections) {
    const { svg, height } = drawSection(section, partOf(section, results[section.part]), y);
    parts.push(svg);
    y += height + margin;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y}" viewBox="0 0 ${width} ${y}" role="img" aria-labelledby="title">
<title id="title">vast-webhook beside what is written by hand: ${sections.map(({ title }) => title).join('; ')}</title>
<style>${style}
</style>
<rect class="page" width="${width}" height="${y}" rx="8"/>
${parts.join('\n')}
</svg>
`;
}

/** One figure of each subject, where a part has several: their names end in it. */
function partOf({ of }, result) {
  if (of === undefined) return result;
  const named = ({ name, ...rest }) =>
    name.endsWith(`: ${of}`) ? [{ ...rest, name: name.slice(0, -of.length - 2) }] : [];
  return { ...result, figures: result.figures.flatMap(named), goals: result.goals.flatMap(named) };
}

function drawSection({ title, better, legend, digits }, { figures, goals, machine, quick }, top) {
  const ratios = goals.flatMap((goal) => ratioOf(goal, figures));
  const most = Math.max(...figures.map(({ value }) => value), ...ratios.map(({ mark }) => mark));
  const x = (value) => barsAt + (value / most) * barsWidth;
  const lines = [
    text(margin, top + 14, title, 'title'),
    text(margin, top + 34, `${better} · ${machine}${quick ? ' · a quick run, less sure' : ''}`, 'faint'),
  ];
  let y = top + 50;
  for (const { name, value, unit, about = '' } of figures) {
    const kind = isOurs(name) ? 'ours' : 'other';
    lines.push(
      text(margin, y + 14, name, kind === 'ours' ? 'ours-label' : ''),
      `<rect class="${kind}" x="${barsAt}" y="${y + 2}" width="${px(x(value) - barsAt)}" height="16" rx="2"/>`,
      ...ratios.filter((ratio) => ratio.ours === name).map(({ mark }) => goalMark(x(mark), y)),
      text(figureAt(name, value, ratios, x), y + 15, `${numberOf(value, digits)} ${unit}`, 'figure'),
      text(barsAt, y + 33, about, 'faint'),
    );
    y += rowHeight;
  }
  if (ratios.length > 0) {
    lines.push(goalMark(margin + 4, y), text(margin + 14, y + 15, legend, 'goal-label'));
    y += lineHeight;
  }
  for (const goal of ratios.filter(({ isAbsolute }) => !isAbsolute)) {
    lines.push(text(margin + 14, y + 14, sentenceOf(goal), 'faint figure'));
    y += lineHeight;
  }
  return { svg: lines.join('\n'), height: y - top };
}

/** A goal for a figure, or one that compares two of them, and where it stands on the scale of the first one. */
function ratioOf({ name, value, low, high, unit, atMost, atLeast, met }, figures) {
  const itself = figures.find((figure) => figure.name === name && figure.unit === unit);
  if (itself !== undefined) return [{ isAbsolute: true, ours: name, mark: atMost ?? atLeast }];
  const [ours, other] = name.split(' / ').map((candidate) => figures.find((figure) => figure.name === candidate));
  if (ours === undefined || other === undefined) return [];
  return [{ name, value, low, high, atMost, atLeast, met, ours: ours.name, mark: (atMost ?? atLeast) * other.value }];
}

function sentenceOf({ name, value, low, high, atMost, atLeast, met }) {
  const goal = atMost === undefined ? `at least ${atLeast}` : `at most ${atMost}`;
  const figures = `${value.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`;
  return `${met ? '✓' : '✗'} ${name}: ${figures}, goal ${goal}${met ? '' : ', not met'}`;
}

function isOurs(name) {
  return /-(ours|front)$|^(outbox|memory)/.test(name);
}

/** Behind the bar and the goals that lie beyond it. */
function figureAt(name, value, ratios, x) {
  const marks = ratios.filter((ratio) => ratio.ours === name).map(({ mark }) => x(mark));
  return Math.max(x(value), ...marks) + 8;
}

function goalMark(x, y) {
  return `<rect class="goal" x="${px(x - 2)}" y="${y - 1}" width="4" height="22"/>`;
}

function text(x, y, content, kind) {
  return `<text x="${px(x)}" y="${y}"${kind ? ` class="${kind}"` : ''}>${escaped(content)}</text>`;
}

function px(value) {
  return Number(value.toFixed(1));
}

function numberOf(value, digits) {
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function escaped(content) {
  return content.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const results = await readFile(new URL('results.json', import.meta.url), 'utf8').catch(() => '{}');
  await writeFile(new URL('chart.svg', import.meta.url), chart(JSON.parse(results)));
}
