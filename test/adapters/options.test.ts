import { describe, expect, it } from 'vitest';
import { vastWebhook as fetchVastWebhook } from '../../src/fetch.js';
import { memoryStore, vastWebhook } from '../../src/index.js';
import { vastWebhook as koaVastWebhook } from '../../src/koa.js';
import { isHandedOn, secret } from '../support/adapters.js';

const { claim, ...withoutClaim } = {
  claim() {},
  renew() {},
  delivered() {},
  complete() {},
  release() {},
};
function audit() {}
const duration = {
  good: [1, 30_000, 2 ** 31 - 1],
  bad: [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, '1000', null, {}, true],
};

const createFetch: typeof fetchVastWebhook = (key, given) =>
  fetchVastWebhook(key, given, isHandedOn(Object(given)) ? () => new Response() : undefined);

/** The valid and invalid values of each option. */
const options: Record<string, { good: unknown[]; bad: unknown[] }> = {
  path: {
    good: ['/', '/x', '/vast/webhooks/'],
    bad: ['', 'x', '/höoks', '/a b', 'https://a.example/x', '/x?y', '/x#y', 5, null, ['/x'], /x/],
  },
  store: { good: [memoryStore(), { claim, ...withoutClaim }], bad: [{}, withoutClaim, null, 'redis://', memoryStore] },
  sinks: {
    good: [[], [audit], [{ name: 'a', deliver() {} }]],
    bad: [audit, {}, null, 'slack', new Set([audit])],
  },
  handoff: { good: [true, false], bad: ['true', 1, 0, null] },
  toleranceSeconds: { good: [0, 1, 300], bad: [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, '300', null] },
  limit: {
    good: [1, 65_536, '64kb', '1mb', '1.5 MB', '100', '10b'],
    bad: [0, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, '', 'big', '64 apples', '-1kb', '0', null, {}, true],
  },
  bodyTimeoutMs: duration,
  deadlineMs: duration,
  leaseMs: duration,
  storeTimeoutMs: duration,
  completedTtlMs: {
    good: [600_000, 7 * 86_400_000, 365 * 86_400_000],
    bad: [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '1d', null],
  },
  onOutcome: { good: [() => {}, async () => {}], bad: ['log', null, {}] },
  onError: { good: [() => {}], bad: ['log', null, {}] },
  now: { good: [Date.now], bad: [1_800_000_000_000, null, new Date(0)] },
};

describe.each([
  ['vast-webhook', vastWebhook],
  ['vast-webhook/koa', koaVastWebhook],
  ['vast-webhook/fetch', createFetch],
])('%s: the options of vastWebhook()', (_name, create) => {
  const make = (given: unknown) => () => create(secret, given as object);

  describe.each(Object.entries(options))('%s', (name, { good, bad }) => {
    it.each(good.map((value) => [value]))('takes %o', (value) => {
      expect(make({ [name]: value })).not.toThrow();
    });

    it('replaces undefined by its default', () => {
      expect(make({ [name]: undefined })).not.toThrow();
    });

    it.each(bad.map((value) => [value]))('refuses %o by its name, with what it takes', (value) => {
      expect(make({ [name]: value })).toThrow(TypeError);
      expect(make({ [name]: value })).toThrow(new RegExp(`${name}.* must be `));
    });
  });

  it('has no others, which are most likely misspelt', () => {
    expect(make({ tolerance: 300 })).toThrow(TypeError);
    expect(make({ tolerance: 300 })).toThrow(/"tolerance".*toleranceSeconds/);
  });

  it.each([null, 5, 'x', () => {}])('are an object, not %o', (given) => {
    expect(make(given)).toThrow(TypeError);
  });

  it.each([
    ['an anonymous function', [() => {}], /async function audit/],
    ['two of one name', [audit, audit], /audit/],
    ['two of one name, one an object', [audit, { name: 'audit', deliver() {} }], /audit/],
    ['an object without a name', [{ deliver() {} }], /name/],
    ['an object with an empty name', [{ name: '', deliver() {} }], /name/],
    ['an object with a name of 256 characters', [{ name: 'x'.repeat(256), deliver() {} }], /name/],
    ['an object without deliver', [{ name: 'a' }], /deliver/],
    ['nothing', [undefined], /sink/],
    ['a URL', ['https://hooks.example/'], /sink/],
  ])('refuse among the sinks %s', (_, sinks, message) => {
    expect(make({ sinks })).toThrow(TypeError);
    expect(make({ sinks })).toThrow(message);
  });

  it('may all be left out', () => {
    expect(() => create(secret)).not.toThrow();
    expect(make({})).not.toThrow();
  });
});

describe('completedTtlMs', () => {
  it.each([
    [{ completedTtlMs: 599_999 }, 600_000],
    [{ completedTtlMs: 60_000, toleranceSeconds: 31 }, 62_000],
    [{ toleranceSeconds: 4 * 86_400 }, 8 * 86_400_000],
  ])('%j: a TypeError, because the event would be forgotten while a delivery of it is valid', (given, ms) => {
    expect(() => vastWebhook(secret, given)).toThrow(TypeError);
    expect(() => vastWebhook(secret, given)).toThrow(`completedTtlMs must be at least ${ms}, twice toleranceSeconds`);
  });

  it('may be short where the window is', () => {
    expect(() => vastWebhook(secret, { completedTtlMs: 60_000, toleranceSeconds: 30 })).not.toThrow();
    expect(() => vastWebhook(secret, { completedTtlMs: 1, toleranceSeconds: 0 })).not.toThrow();
  });
});
