import { describe, expect, it } from 'vitest';
import { judge } from './flat.mjs';

const tolerance = { least: 3, part: 0.1 };
const series = (valueAt: (i: number) => number) => Array.from({ length: 120 }, (_, i) => valueAt(i));
/** A saw, as a heap between two collections. */
const noise = (i: number) => ((i * 7) % 11) / 5;

describe('a series is flat', () => {
  it.each([
    ['when it stays', (i: number) => 20 + noise(i)],
    ['when it has filled its caches in the first quarter', (i: number) => 20 + Math.min(i, 29) + noise(i)],
    ['when it shrinks', (i: number) => 40 - i / 10],
    ['with spikes, also at its end', (i: number) => 20 + noise(i) + (i % 13 === 0 || i > 116 ? 200 : 0)],
    ['when it grows by less than a tenth', (i: number) => 100 + i / 10],
    ['with nothing but zeros', () => 0],
  ])('%s', (_, valueAt) => {
    expect(judge(series(valueAt), tolerance).isFlat).toBe(true);
  });
});

describe('a series is not flat', () => {
  it.each([
    ['when it grows by little at a time', (i: number) => 20 + i / 25 + noise(i)],
    ['when it grows in steps', (i: number) => 20 + 4 * Math.floor(i / 40)],
    ['when it grows under a saw that is larger', (i: number) => 20 + i / 10 + 5 * noise(i)],
  ])('%s', (_, valueAt) => {
    expect(judge(series(valueAt), tolerance).isFlat).toBe(false);
  });
});
