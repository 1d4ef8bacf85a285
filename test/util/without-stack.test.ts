import { afterEach, describe, expect, it, vi } from 'vitest';
import { withoutStack } from '../../src/util/without-stack.js';

describe('withoutStack', () => {
  afterEach(() => vi.restoreAllMocks());

  it('makes an error whose stack is its first line alone, and leaves later errors theirs', () => {
    const error = withoutStack(() => new TypeError('no key matches'));
    expect(error.stack).toBe('TypeError: no key matches');
    expect(new Error('later').stack).toContain('without-stack.test');
  });

  it('restores the limit when making the error throws', () => {
    const { stackTraceLimit } = Error;
    const fail = () => {
      throw new RangeError('not made');
    };
    expect(() => withoutStack(fail)).toThrow(RangeError);
    expect(Error.stackTraceLimit).toBe(stackTraceLimit);
  });

  it('makes an ordinary error where Error is frozen', () => {
    vi.spyOn(Reflect, 'set').mockReturnValue(false);
    expect(withoutStack(() => new Error('frozen')).message).toBe('frozen');
  });
});
