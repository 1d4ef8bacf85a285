import { describe, expect, it } from 'vitest';
import { happenedAt } from '../../src/sinks/happened-at.js';

const signedAt = 1_790_000_000;
const at = (event: object) => happenedAt(event, { timestamp: signedAt } as never);
const ofSignature = '2026-09-21T14:13:20.000Z';

describe('an event happened', () => {
  it.each([
    ['at its timestamp', { timestamp: 1_772_490_000.123 }, '2026-03-02T22:20:00.123Z'],
    ['when it was created', { createdAt: '2026-06-01T00:00:00.000Z' }, '2026-06-01T00:00:00.000Z'],
    ['when it was created, with an offset', { createdAt: '2026-06-01T02:30:00+02:30' }, '2026-06-01T00:00:00.000Z'],
    ['at its timestamp first', { timestamp: 0, createdAt: '2026-06-01T00:00:00Z' }, '1970-01-01T00:00:00.000Z'],
    [
      'when it was created, if its timestamp is none',
      { timestamp: 'soon', createdAt: '2026-06-01T00:00:00Z' },
      '2026-06-01T00:00:00.000Z',
    ],
  ])('%s', (_, event, time) => {
    expect(at(event)).toBe(time);
  });

  it.each([
    undefined,
    null,
    1_772_490_000,
    '',
    'soon',
    '2026',
    '2026-06-01',
    '2026-06-01T00:00:00',
    '1 Jun 2026 00:00 GMT',
    '2026-13-01T00:00:00Z',
    '1969-12-31T23:59:59Z',
    '9999-12-31T23:59:59-05:00',
    ['2026-06-01T00:00:00Z'],
  ])('when it was signed, if it says that it was created at %j', (createdAt) => {
    expect(at({ createdAt })).toBe(ofSignature);
  });
});
