import { describe, expect, it } from 'vitest';
import { shodaiApi, v0Api, vastApi } from '../../src/api/index.js';
import { redactor } from '../../src/api/redact.js';
import {
  type Failure,
  failures,
  startShodaiManagement,
  startV0Management,
  startVastManagement,
} from '../support/management-stand-in.js';
import { errorOf, printed, started } from './set-up.js';

const keys = {
  'of hex digits': 'c0ffee0123456789abcdef0123456789abcdef0123456789abcdef0123456789',
  short: 'k3y',
  'of every character': '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~aZ09',
  'that is a word': 'auth_error',
};

const echoes: Record<string, (key: string, request: string) => Failure> = {
  'in msg': (key) => failures.json(400, { success: false, error: 'x', msg: `key ${key} is wrong` }),
  'as the code': (key) => failures.json(400, { error: key, msg: 'no' }),
  'as the code in an object': (key) => failures.json(400, { error: { code: key, message: `Bearer ${key}` } }),
  'in detail': (key) => failures.json(400, { detail: [{ msg: `Authorization: Bearer ${key}` }] }),
  'in plain text': (key) => failures.text(400, `${key}${key}`),
  'in a URL': (key) => failures.text(400, `https://x/?api_key=${encodeURIComponent(key)}`),
  'with the whole request': (_, request) => failures.text(400, request),
  'in an HTML page': (key) => (res) => res.writeHead(400, { 'Content-Type': 'text/html' }).end(`<p>${key}`),
  'in a success of another form': (key) => failures.json(200, { key }),
  'in a redirect': (key) => failures.redirect(`https://x/${encodeURIComponent(key)}`),
};

describe.each(Object.entries(keys))('a key %s stays out of an error', (_, apiKey) => {
  it.each(Object.entries(echoes))('when the service echoes it %s', async (_, echo) => {
    const services = [
      { standIn: await started(startVastManagement({ apiKey })), make: vastApi },
      { standIn: await started(startShodaiManagement({ apiKey })), make: shodaiApi },
      { standIn: await started(startV0Management({ apiKey })), make: v0Api },
    ];
    for (const { standIn, make } of services) {
      const api = make({ apiKey, baseUrl: standIn.url });
      standIn.failNext(echo(apiKey, `authorization: Bearer ${apiKey}\nX-API-Key: ${apiKey}`));
      const error = printed(await errorOf(api.listWebhooks()));
      expect(error).not.toContain(apiKey);
      expect(error).not.toContain(encodeURIComponent(apiKey));
    }
  });

  it.each(
    Object.entries({
      'when the call breaks': (key: string) => Object.assign(new TypeError(`header ${key}`), { cause: new Error(key) }),
      'when the cause has it for its code': (key: string) => Object.assign(new Error(key), { cause: { code: key } }),
      'when the error is named after it': (key: string) => Object.assign(new Error(key), { name: key }),
    }),
  )('%s', async (_, makeError) => {
    const fetch = () => Promise.reject(makeError(apiKey));
    const api = vastApi({ apiKey, fetch });
    const error = await errorOf(api.rotateSecret(1));
    expect(error).toMatchObject({ status: 0, code: 'unreachable' });
    expect(error.cause).toBeUndefined();
    expect(printed(error)).not.toContain(apiKey);
  });

  it('and out of a printed client', () => {
    expect(printed(vastApi({ apiKey }))).not.toContain(apiKey);
  });
});

describe('a signing secret and a URL’s token stay out', () => {
  it.each([
    ['whsec_c0ffee', 'the secret whsec_c0ffee was wrong', 'the secret [redacted] was wrong'],
    ['s3cr3t', 'webhook_secret=s3cr3t, id=4', 'webhook_secret=[redacted], id=4'],
    ['s3cr3t', '{"webhook_secret": "s3cr3t"', '{"webhook_secret": "[redacted]"'],
    [
      's3cr3t',
      'https://example.com/v0/webhooks?token=s3cr3t&x=1',
      'https://example.com/v0/webhooks?token=[redacted]&x=[redacted]',
    ],
    ['Xk2_vWq', 'got Xk2_vWqPz81LmNo5-RtYuIoPaSdFgHjKl7ZxCvBnM0Q', 'got [redacted]'],
  ])('%s', (secret, said, shown) => {
    const redacted = redactor('key of the caller')(said);
    expect(redacted).toBe(shown);
    expect(redacted).not.toContain(secret);
  });

  it('but an id may be shown', () => {
    const said = 'Webhook 123e4567-e89b-12d3-a456-426614174000 not found at https://example.com/hooks';
    expect(redactor('key')(said)).toBe(said);
  });

  it('in time in proportion to the text', () => {
    const redact = redactor('k3y');
    for (const hostile of ['?', '&a', '?a=', 'Bearer ', 'secret', 'secret=', '=', '"', 'a', ' ']) {
      redact(hostile.repeat(1_000_000 / hostile.length));
    }
  });
});
