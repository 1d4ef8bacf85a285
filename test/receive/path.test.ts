import { describe, expect, it } from 'vitest';
import { targetTest } from '../../src/receive/path.js';

const isEndpoint = targetTest('/vast/webhooks');

describe('a target that some router takes for the endpoint is on it', () => {
  it.each([
    '/vast/webhooks',
    '/api/vast/webhooks',
    '/VAST/webhooks/',
    '/vast/./webhooks',
    '/x/../vast/webhooks',
    '/%2e/vast/webhooks',
    '/vast\\.\\webhooks',
    '//h/vast/webhooks',
    'http://h/./vast/webhooks',
    '/vast/webhoo%E2%84%AAs',
    '/vast/webhooks/x/..',
    '/vast/webhooks/x/%2e%2e',
    '/vast/webhooks%2fx/..',
    '/vast//../webhooks',
    '/vast/webhooks;c/d/..',
    '/vast/webhooks;a%2Fb',
    '/vast/webhooks%3Bc',
    '/vast/webhooks%3Fx/y',
    '/vast/webhooks#/a',
    '/vast/webhooks?/a',
    '/%76ast/webhooks',
    '/vast%252fwebhooks',
    'http:vast/webhooks',
    'vast/webhooks',
    'http:///vast/webhooks#',
    '/vast/webhooks\xa0',
    '/vast/webhooks%A0',
    '/vast/x\\..\\/webhooks',
    '/vast/x%2f..%2fwebhooks',
    '/vast/a/b/../../webhooks',
    '/\tvast/webhooks',
    '/vast/webhooks/\\../..',
    '/vast/a%2fb/../webhooks',
  ])('%s', (target) => {
    expect(isEndpoint(target)).toBe(true);
  });
});

describe('whatever stands before the endpoint, and whichever separator is between', () => {
  it.each(
    ['/', '\\', '%2f', '%5C', '%255c', ';/', ';a/'].flatMap((separator) =>
      ['/api', '/api/v1', '/api\\v1', 'x://h/api/v1', '/a;b'].flatMap((before) =>
        ['vast/webhooks', 'vast\\webhooks', 'vast%2fwebhooks'].map((end) => before + separator + end),
      ),
    ),
  )('%s', (target) => {
    expect(isEndpoint(target)).toBe(true);
  });
});

describe('a target that no router takes for the endpoint', () => {
  it.each([
    '/',
    '/users',
    '/vast',
    '/vast/webhook',
    '/vast/webhooks/more',
    '/?/vast/webhooks',
    'http://service.test',
    '*',
    '/users?next=/vast/webhooks',
    '/vast/webhooks/more?x',
    '/vast/x/webhooks',
    '/a.b/c',
    '/vast/../webhooks',
    '/proxy/https%3A%2F%2Fa.test%2Fx',
  ])('%s', (target) => {
    expect(isEndpoint(target)).toBe(false);
  });
});

describe("the endpoint '/' is the root itself", () => {
  const isRoot = targetTest('/');

  it.each(['/', '/?a', 'http://service.test', 'http://service.test?a', '//h', '/a/..', '/./', '', 'http://h/', '/%2e'])(
    'which is %j',
    (target) => {
      expect(isRoot(target)).toBe(true);
    },
  );

  it.each(['/a', '*', 'http://h/a', '/a/b/..'])('and not %j', (target) => {
    expect(isRoot(target)).toBe(false);
  });
});

describe('an endpoint', () => {
  it.each([
    ['/Hooks/VAST/', '/hooks/vast'],
    ['/hooks//vast', '/hooks/vast'],
    ['/hook%73/vast', '/hooks/vast'],
    ['/hooks/vast;a', '/hooks/vast;b'],
  ])('%s is read like its requests: %s', (endpoint, target) => {
    expect(targetTest(endpoint)(target)).toBe(true);
  });
});

describe('a target made to be read slowly', () => {
  // Each is as long as a server accepts. The work grows linearly with the length.
  it.each([
    ['dot segments', 'a%252f../'],
    ['encoded per cent signs', '%25'],
    ['parameters', ';/'],
    ['encoded question marks', '%3f'],
    ['backslashes', '\\..\\x'],
  ])('of %s is read in a time that grows with its length only', (_, part) => {
    const steps = (length: number) => {
      const target = `/${part.repeat(length / part.length)}`;
      const started = process.cpuUsage().user;
      for (let n = 0; n < 20; n++) isEndpoint(target);
      return process.cpuUsage().user - started;
    };
    steps(2_000);
    // Eight times the length: quadratic work would take 64 times as long.
    expect(steps(16_000)).toBeLessThan(40 * Math.max(steps(2_000), 1_000));
  });
});
