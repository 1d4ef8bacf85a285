import { type Finding, ok, problem, skipped } from './finding.js';

export interface Clocks {
  /** The endpoint's clock minus this one, in seconds. */
  readonly endpoint?: number;
  /** Vast.ai's minus this one. */
  readonly service?: number;
}

/** Beyond this a delivery is refused by default. */
export const toleranceSeconds = 300;

/** Well below that, and well above the error that a slow answer causes. */
const mostSeconds = 60;

/** Compares the clocks by the Date headers. What counts is the endpoint's against Vast.ai's. */
export function judgeClocks({ endpoint, service }: Clocks): Finding {
  if (endpoint === undefined && service === undefined) return skipped('clock', 'no answer had a Date header');
  const pairs = [
    endpoint !== undefined &&
      service !== undefined &&
      (["the endpoint's clock", "Vast.ai's", endpoint - service] as const),
    service !== undefined && (["this machine's clock", "Vast.ai's", -service] as const),
    endpoint !== undefined && (["this machine's clock", "the endpoint's", -endpoint] as const),
  ].filter((pair) => pair !== false);
  const off = pairs.find(([, , skew]) => Math.abs(skew) > mostSeconds);
  if (off === undefined) {
    const most = Math.max(...pairs.map(([, , skew]) => Math.abs(skew)));
    return ok('clock', most <= 2 ? 'the clocks agree' : `the clocks agree within ${most} s`);
  }
  const [one, other, skew] = off;
  return problem(
    'clock',
    `${one} is ${Math.abs(skew)} s ${skew > 0 ? 'ahead of' : 'behind'} ${other}: from ${toleranceSeconds} s on every delivery is refused`,
    'set it by NTP (timedatectl set-ntp true)',
  );
}
