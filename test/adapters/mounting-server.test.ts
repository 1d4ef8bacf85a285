import { describe, expect, it } from 'vitest';
import { statusInFront } from './guarded.js';

describe('in front of a server that parses paths itself, with a path', () => {
  it.each([
    ['/vast/webhooks', 401],
    ['/VAST/webhooks/', 401],
    ['/vast/%77ebhooks', 401],
    ['/vast%2Fwebhooks', 401],
    ['/vast\\webhooks', 401],
    ['//vast//webhooks//', 401],
    ['/vast;a=b/webhooks;c', 401],
    ['/vast/webhooks%3Bc', 401],
    ['http://service.test/vast/webhooks#a', 401],
    ['/vast/webhooks?from=http://a.test/b', 401],
    ['/vast/webhook', 200],
    ['/vast/webhooks/more', 200],
    ['/?/vast/webhooks', 200],
    ['http://service.test', 200],
    ['*', 200],
  ])('rejects every possible spelling of the endpoint and lets other paths pass: %s', async (target, status) => {
    expect(await statusInFront('/vast/webhooks', target)).toBe(status);
  });
});

describe("in front of a server, with the path '/'", () => {
  it.each([
    ['/', 401],
    ['/?a', 401],
    ['http://service.test', 401],
    ['http://service.test?a', 401],
    ['/a', 200],
  ])('rejects the root only, in every spelling: %s', async (target, status) => {
    expect(await statusInFront('/', target)).toBe(status);
  });
});
