import { describe, expect, it } from 'vitest';
import { LocalProgress } from '../../src/forward/local-progress.js';

describe('deliveries that the store could not record', () => {
  it('is given out once, all of it', () => {
    const unrecorded = new LocalProgress();
    unrecorded.add('event', ['slack']);
    unrecorded.add('event', ['audit']);
    expect(unrecorded.take('another')).toEqual([]);
    expect(unrecorded.take('event')).toEqual(['slack', 'audit']);
    expect(unrecorded.take('event')).toEqual([]);
  });

  it('is kept of 10,000 events, the latest', () => {
    const unrecorded = new LocalProgress();
    for (let event = 0; event <= 10_000; event++) unrecorded.add(`event-${event}`, ['slack']);
    expect(unrecorded.take('event-0')).toEqual([]);
    expect(unrecorded.take('event-1')).toEqual(['slack']);
    expect(unrecorded.take('event-10000')).toEqual(['slack']);
  });
});
