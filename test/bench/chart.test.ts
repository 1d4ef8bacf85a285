import { describe, expect, it } from 'vitest';
import { chart } from '../../bench/chart.mjs';

const machine = 'Node 20.20.2, 2 x <Some> & "Processor"';
const results = {
  cpu: {
    machine,
    quick: false,
    title: 'CPU time',
    figures: [
      { name: 'express-hand', value: 80, unit: 'µs', about: 'by hand' },
      { name: 'express-ours', value: 100, unit: 'µs', about: 'with the middleware' },
      { name: 'express-front', value: 50, unit: 'µs', about: 'in front' },
    ],
    goals: [
      { name: 'express-ours / express-hand', value: 1.25, low: 1.2, high: 1.3, unit: '', atMost: 0.95, met: false },
      { name: 'express-front / express-hand', value: 0.625, low: 0.6, high: 0.65, unit: '', atMost: 0.95, met: true },
      { name: 'a time by itself', value: 1, low: 1, high: 1, unit: 'ms', atMost: 2, met: true },
    ],
  },
  load: {
    machine,
    quick: true,
    title: 'Load',
    figures: [
      { name: 'express-hand', value: 8654.3, unit: 'requests/s' },
      { name: 'front-ours', value: 31_163.4, unit: 'requests/s' },
    ],
    goals: [{ name: 'front-ours / express-hand', value: 3.6, low: 3.4, high: 3.7, unit: '', atLeast: 4, met: false }],
  },
};

const texts = (svg: string) => [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map(([, text]) => text);
const numbers = (svg: string, pattern: RegExp) => [...svg.matchAll(pattern)].map(([, number]) => Number(number));
const barWidths = (svg: string) => numbers(svg, /<rect class="(?:ours|other)"[^>]* width="([\d.]+)"/g);
/** The middle of each. */
const marksOn = (svg: string) => numbers(svg, /<rect class="goal" x="([\d.]+)"/g).map((left) => left + 2);

describe('the chart of the benchmark', () => {
  it('has a bar for each figure, as long as the figure says', () => {
    const [hand = 0, ours = 0, front = 0] = barWidths(chart({ cpu: results.cpu }));
    expect(hand / ours).toBeCloseTo(0.8, 2);
    expect(front / ours).toBeCloseTo(0.5, 2);
  });

  it('distinguishes this package from the others by more than length', () => {
    expect([...chart(results).matchAll(/<rect class="(ours|other)"/g)].map(([, kind]) => kind)).toEqual([
      'other',
      'ours',
      'ours',
      'other',
      'ours',
    ]);
  });

  it('labels each figure with its unit and its subject', () => {
    expect(texts(chart(results))).toEqual(
      expect.arrayContaining(['express-ours', '100.0 µs', 'with the middleware', 'front-ours', '31,163 requests/s']),
    );
  });

  it('marks on each bar where its goals would have it end', () => {
    const svg = chart({ cpu: results.cpu });
    const [hand = 0] = barWidths(svg);
    const start = Number(/<rect class="other" x="([\d.]+)"/.exec(svg)?.[1]);
    const [first = 0, second = 0] = marksOn(svg);
    expect(first - start).toBeCloseTo(0.95 * hand, 0);
    expect(second).toBe(first);
  });

  it('makes room for a goal that no bar reaches', () => {
    const svg = chart({ load: results.load });
    const [hand = 0, front = 0] = barWidths(svg);
    const start = Number(/<rect class="other" x="([\d.]+)"/.exec(svg)?.[1]);
    const [mark = 0] = marksOn(svg);
    expect(mark - start).toBeCloseTo(4 * hand, 0);
    expect(mark - start).toBeGreaterThan(front);
    const width = Number(/^<svg[^>]* width="(\d+)"/.exec(svg)?.[1]);
    expect(mark).toBeLessThan(width - 100);
  });

  it('says in words which goals are met, of those that compare two figures', () => {
    const said = texts(chart(results)).filter((text) => text?.includes('goal at'));
    expect(said).toEqual([
      '✗ express-ours / express-hand: 1.25 (1.20 to 1.30), goal at most 0.95, not met',
      '✓ express-front / express-hand: 0.63 (0.60 to 0.65), goal at most 0.95',
      '✗ front-ours / express-hand: 3.60 (3.40 to 3.70), goal at least 4, not met',
    ]);
  });

  it('says on which machine, and that a quick run is less sure', () => {
    const [cpu, load] = texts(chart(results)).filter((text) => text?.includes('Node 20'));
    expect(cpu).toBe('shorter is better · Node 20.20.2, 2 x &#60;Some&#62; &#38; &#34;Processor&#34;');
    expect(load).toMatch(/^longer is better .* · a quick run, less sure$/);
  });

  it('can be read on a light and on a dark page', () => {
    const svg = chart(results);
    expect(svg).toContain('prefers-color-scheme: dark');
    expect(svg).not.toMatch(/(fill|stroke)="/);
  });

  it('omits missing measurements, and names the command to run when all are missing', () => {
    expect(chart({ cpu: results.cpu })).not.toContain('Requests a second');
    expect(() => chart({})).toThrow('npm run bench -- cpu load');
  });
});
