import { describe, expect, it } from 'vitest';
import { toByteLimit } from '../../src/cli/shared/flag-values.js';
import { parseLimit } from '../../src/receive/limit.js';

describe('a limit on the command line', () => {
  it.each(['1', '65536', '64kb', '64 KB', '1mb', '0.5mb', '1.5kb', '2gb', '1tb', '1pb', '007kb', '10b'])(
    'may be %s, as in the middleware',
    (text) => {
      expect(toByteLimit(text)).toBe(text);
      expect(parseLimit(text)).toBeGreaterThan(0);
    },
  );

  it.each(['', '0', '0kb', '-1', 'much', '1e3', '64k', 'kb', '1,5mb', ' 1', 'Infinity'])(
    'cannot be %j, as in the middleware',
    (text) => {
      expect(() => toByteLimit(text)).toThrow('65536, 64kb or 1mb');
      expect(parseLimit(text)).toBeUndefined();
    },
  );
});
