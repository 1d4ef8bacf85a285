// What "flat" means, so that a machine can say it.

/** What each series may grow by in the time that is looked at: so much in any case, or this part of its median. */
export const tolerances = {
  'heap after GC': { unit: 'MB', least: 3, part: 0.1 },
  RSS: { unit: 'MB', least: 25, part: 0.15 },
  handles: { unit: '', least: 25, part: 0.25 },
  'p50 latency': { unit: 'ms', least: 3, part: 0.5 },
  'p99 latency': { unit: 'ms', least: 50, part: 1 },
};

/**
 * Growth of a series over its last three quarters, since in the first one caches fill and code is compiled. It is the
 * median of the slopes between all pairs of samples (Theil and Sen), which no single spike can move. To shrink is fine.
 */
export function judge(values, { least, part }) {
  const late = values.slice(Math.floor(values.length / 4));
  const slopes = [];
  for (let i = 0; i < late.length; i++) {
    for (let j = i + 1; j < late.length; j++) slopes.push((late[j] - late[i]) / (j - i));
  }
  const growth = median(slopes) * (late.length - 1);
  const allowed = Math.max(least, part * median(late));
  return { growth, allowed, isFlat: growth <= allowed };
}

export function median(values) {
  return quantile(values, 0.5);
}

export function quantile(values, part) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0;
}
