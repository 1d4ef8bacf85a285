import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { fetchErrorCode } from '../../src/util/http.js';

async function failureOf(url: string, init?: RequestInit): Promise<string> {
  return fetch(url, init).then(
    () => 'nothing',
    (error: unknown) => fetchErrorCode(error),
  );
}

describe('fetchErrorCode names the cause', () => {
  it('of a port that fetch connects to in no case', async () => {
    expect(await failureOf('http://127.0.0.1:1/')).toBe('fetch refuses this port');
  });

  it('of a redirect', async () => {
    const server = createServer((_, res) => res.writeHead(302, { Location: '/' }).end()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => server.closeAllConnections());
    onTestFinished(() => void server.close());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    expect(await failureOf(url, { redirect: 'error' })).toBe('unexpected redirect');
    expect(await failureOf(url)).toBe('too many redirects');
  });

  it.each([
    ['the error itself', Object.assign(new Error('x'), { code: 'ECONNREFUSED' }), 'ECONNREFUSED'],
    ['its cause', new TypeError('fetch failed', { cause: { code: 'ENOTFOUND' } }), 'ENOTFOUND'],
    ['a cause further in', new Error('x', { cause: new Error('y', { cause: { code: 'EPIPE' } }) }), 'EPIPE'],
    ['a number, as of a DOMException', new DOMException('x', 'TimeoutError'), 'TimeoutError'],
    ['none', new TypeError('https://example.com/secret', { cause: new Error('secret') }), 'TypeError'],
    ['a text', Object.assign(new Error('x'), { code: 'a secret' }), 'Error'],
    ['a value that is no error', undefined, 'unknown error'],
  ])('with the code of %s', (_, error, code) => {
    expect(fetchErrorCode(error)).toBe(code);
  });

  it('of an error that is its own cause', () => {
    const error = new Error('x');
    expect(fetchErrorCode(Object.assign(error, { cause: error }))).toBe('Error');
  });
});
