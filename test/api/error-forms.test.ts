import { describe, expect, it, vi } from 'vitest';
import { ApiError, vastApi } from '../../src/api/index.js';
import { SinkError, WebhookError } from '../../src/index.js';
import { type Failure, failures, startVastManagement } from '../support/management-stand-in.js';
import { errorOf, printed, started } from './set-up.js';

async function errorAfter(failure: Failure): Promise<ApiError> {
  const standIn = await started(startVastManagement());
  standIn.failNext(failure, 4);
  // A call that is not repeated.
  return errorOf(vastApi({ apiKey: standIn.apiKey, baseUrl: standIn.url }).testWebhook(42));
}

const doubt = 'The call may have taken effect: check before you repeat it.';
const wait = 'Wait a few seconds before you try again.';

describe('an error’s code and message come from', () => {
  it.each<[string, Failure, number, string, string]>([
    [
      'error and msg',
      failures.json(400, { success: false, error: 'bad_args', msg: 'No' }),
      400,
      'bad_args',
      '400: No (bad_args).',
    ],
    ['msg alone', failures.json(404, { success: false, msg: 'None' }), 404, 'http_404', '404: None.'],
    ['error alone, a word', failures.json(400, { error: 'bad_args' }), 400, 'bad_args', '400: bad_args.'],
    ['error alone, a sentence', failures.json(400, { error: 'Not good!' }), 400, 'http_400', '400: Not good!'],
    ['error, an object', failures.json(402, { error: { code: 'unpaid', message: 'Pay' } }), 402, 'unpaid', '402: Pay.'],
    ['error, an object with a code alone', failures.json(400, { error: { code: 'x1' } }), 400, 'x1', '400: x1.'],
    ['message', failures.json(409, { message: 'Conflict.' }), 409, 'http_409', '409: Conflict.'],
    ['message, a list', failures.json(400, { message: ['One', 'two'] }), 400, 'http_400', '400: One; two.'],
    ['message and code', failures.json(422, { code: 'odd', message: 'Odd' }), 422, 'odd', '422: Odd.'],
    ['detail, a text', failures.json(400, { detail: 'Too bad' }), 400, 'http_400', '400: Too bad.'],
    [
      'detail, a list',
      failures.json(422, { detail: [{ loc: ['body'], msg: 'one' }, { msg: 'two' }, 3] }),
      422,
      'http_422',
      '422: one; two.',
    ],
    ['plain text', failures.text(400, ' Not like this\n'), 400, 'http_400', '400: Not like this.'],
    [
      'Vast.ai’s 429 in plain text',
      failures.tooFrequent,
      429,
      'http_429',
      `429: API requests too frequent endpoint threshold=2.0. ${wait}`,
    ],
    [
      'Vast.ai’s 429 with a detail',
      failures.tooFrequentDetail,
      429,
      'http_429',
      `429: API requests too frequent. ${wait}`,
    ],
    ['JSON that says nothing', failures.json(400, { success: false }), 400, 'http_400', '400.'],
    ['JSON of another kind', failures.json(400, [1, null]), 400, 'http_400', '400.'],
    [
      'JSON nested without end',
      failures.text(400, `${'{"error":'.repeat(9_999)}1${'}'.repeat(9_999)}`),
      400,
      'http_400',
      '400.',
    ],
    ['an empty body', failures.text(418, ''), 418, 'http_418', '418.'],
    ['an HTML page', failures.html(400), 400, 'http_400', '400.'],
    ['an HTML page of the wrong type', failures.text(400, '\n<html>Words'), 400, 'http_400', '400.'],
    ['a gateway’s HTML page', failures.html(502), 502, 'http_502', `502. ${doubt}`],
    [
      'a redirect',
      failures.redirect('https://example.com/?key=x'),
      302,
      'http_302',
      '302. Redirects are not followed: is baseUrl right?',
    ],
    [
      'a refusal under the status 200',
      failures.json(200, { success: false, error: 'auth_error', msg: 'No' }),
      200,
      'auth_error',
      '200: No (auth_error).',
    ],
  ])('%s', async (_, failure, status, code, message) => {
    const error = await errorAfter(failure);
    expect(error).toMatchObject({ name: 'ApiError', status, code });
    expect(error.message).toBe(`Vast.ai answered ${message}`);
  });

  it('an HTML page nothing but the status', async () => {
    expect(printed(await errorAfter(failures.html(503)))).not.toMatch(/html|own words/i);
  });
});

describe('a message is one line', () => {
  it('without characters that steer a terminal or turn text round', async () => {
    const { message } = await errorAfter(failures.json(400, { msg: 'a\u001b[31mb\r\nc\u202ed\u0000\u200be' }));
    expect(message).toBe('Vast.ai answered 400: a [31mb c d e.');
  });

  it('of bounded length, cut between characters', async () => {
    const { message } = await errorAfter(failures.text(400, '🚀 '.repeat(500)));
    expect(message).toBe(`Vast.ai answered 400: ${'🚀 '.repeat(149)}🚀…`);
  });
});

describe('an answer in another form', () => {
  it.each<[string, Failure, RegExp]>([
    ['HTML', failures.html(200), /answered 200 with an HTML page\. Is baseUrl right\?/],
    ['garbage', failures.garbage, /answered 200 in an undocumented form/],
    ['null', failures.json(200, null), /undocumented form/],
    ['a list', failures.json(200, []), /undocumented form/],
    ['no list', failures.json(200, { success: true, webhooks: {} }), /undocumented form/],
    [
      'a list of something else',
      failures.json(200, { success: true, webhooks: [{ id: 1 }, 'x'] }),
      /undocumented form/,
    ],
    ['nothing', failures.text(200, ''), /undocumented form/],
  ])('%s is an invalid_answer, and not asked for again', async (_, failure, message) => {
    const standIn = await started(startVastManagement());
    standIn.failNext(failure);
    const error = await errorOf(vastApi({ apiKey: standIn.apiKey, baseUrl: standIn.url }).listWebhooks());
    expect(error).toMatchObject({ status: 200, code: 'invalid_answer' });
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain(doubt);
    expect(standIn.requests).toHaveLength(1);
  });

  it.each<[string, object]>([
    ['without a secret', { id: 42 }],
    ['with an empty one', { id: 42, webhook_secret: '' }],
  ])('%s says of rotateSecret that it may have worked', async (_, webhook) => {
    const standIn = await started(startVastManagement());
    standIn.failNext(failures.json(200, { success: true, webhook }));
    const error = await errorOf(vastApi({ apiKey: standIn.apiKey, baseUrl: standIn.url }).rotateSecret(42));
    expect(error.code).toBe('invalid_answer');
    expect(error.message).toContain(doubt);
  });
});

describe('ApiError', () => {
  it('is known to the class of another build', async () => {
    vi.resetModules();
    const { ApiError: Other } = await import('../../src/api/api-error.js');
    expect(Other).not.toBe(ApiError);
    const detail = { status: 404, code: 'http_404' };
    expect(new Other('x', detail)).toBeInstanceOf(ApiError);
    expect(new ApiError('x', detail)).toBeInstanceOf(Other);
    expect(new ApiError('x', detail)).not.toBeInstanceOf(WebhookError);
    expect(new ApiError('x', detail)).not.toBeInstanceOf(SinkError);
    expect(new Error('x')).not.toBeInstanceOf(ApiError);
  });
});
