import { createHmac } from 'node:crypto';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { sign } from '../../src/index.js';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';
import { workplace } from './call.js';

const secret = 'a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90';
const nowSeconds = () => Math.floor(Date.now() / 1000);

/** As Python's json.dumps prints it, which is how the sender does. */
const pythonBody =
  '{"event_id": "0123456789abcdef0123456789abcdef", "user_id": 123, "notif_type": "instance_resumed", "subject": "Your Instance", "message": "moved \\u2014 your GPU is available <now> & here: https://cloud.vast.ai/", "timestamp": 1788000000.0}';
const utf8Body = JSON.stringify({ ...sampleEvent('instance_resumed'), message: 'naïve — é “quoted”' });

interface Request {
  readonly body?: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  readonly rest?: object;
}

/** A genuine request, and the same as somebody has kept it. */
function capture(
  sent: string | Buffer,
  { body = sent, headers = {}, rest = {} }: Request = {},
  timestamp = nowSeconds(),
) {
  return JSON.stringify({
    headers: {
      'X-Vast-Signature-256': sign(sent, secret, timestamp),
      'X-Vast-Timestamp': String(timestamp),
      ...headers,
    },
    bodyBase64: Buffer.from(body).toString('base64'),
    ...rest,
  });
}

interface Answer {
  readonly verifies: boolean;
  readonly causes: readonly { readonly code: string; readonly cause: string; readonly cure: string }[];
  readonly notes: readonly string[];
}

async function ask(
  stdin: string | Buffer,
  args: readonly string[] = [],
  env: Record<string, string> = { VAST_WEBHOOK_SECRET: secret },
) {
  const place = workplace(secret);
  const { status, out } = await place.call(['verify', '--json', ...args], { stdin, env });
  const answer = JSON.parse(out) as Answer;
  expect(status).toBe(answer.verifies ? 0 : 1);
  for (const { cause, cure } of answer.causes) expect([cause, cure]).not.toContain('');
  return { ...answer, codes: answer.causes.map(({ code }) => code) };
}

describe('a request that verifies', () => {
  it.each([
    ['sample', utf8Body],
    ['as Python prints it', pythonBody],
    ['with a byte-order mark', `\uFEFF${utf8Body}`],
    ['that is no JSON', 'x'],
  ])('%s', async (_, body) => {
    expect(await ask(capture(body))).toMatchObject({ verifies: true, causes: [], notes: [] });
  });

  it('says so to people, and that a stored one is stale', async () => {
    const place = workplace(secret);
    place.write('request.json', capture(utf8Body, {}, nowSeconds() - 90_000));
    place.write('.env', `VAST_WEBHOOK_SECRET=${secret}\n`);
    const { status, out, err } = await place.call(['verify', '--file', 'request.json']);
    expect(err).toBe('');
    expect(out).toMatch(
      /^It verifies\.\n\nSigned .*Z, body of \d+ bytes, checked with VAST_WEBHOOK_SECRET of \.env\.\nIt was signed 9000\d s ago\. A stored request/,
    );
    expect(status).toBe(0);
  });
});

describe('the forms that a request is read in', () => {
  const timestamp = nowSeconds();
  const { body, headers } = signedDelivery(sampleEvent('outbid'), secret, { timestamp });
  const message = `POST /vast/webhooks HTTP/1.1\r\nHost: x\r\n${Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}`)
    .join('\r\n')}`;
  const chunked = (text: string) =>
    `${text.slice(0, 10).length.toString(16)}\r\n${text.slice(0, 10)}\r\n${(text.length - 10).toString(16)}\r\n${text.slice(10)}\r\n0\r\n\r\n`;

  it.each([
    ['an HTTP message', `${message}\r\n\r\n${body}`],
    ['an HTTP message with Unix newlines', `${message}\r\n\r\n${body}`.replaceAll('\r\n', '\n')],
    ['an HTTP message in chunks', `${message}\r\nTransfer-Encoding: chunked\r\n\r\n${chunked(body)}`],
    ['headers without a request line', `${message.slice(message.indexOf('\n') + 1)}\r\n\r\n${body}`],
    ['JSON', JSON.stringify({ headers, body })],
    [
      'JSON with lists of values',
      JSON.stringify({ headers: Object.fromEntries(Object.entries(headers).map(([k, v]) => [k, [v]])), body }),
    ],
    ['JSON in UTF-16', Buffer.from(`\uFEFF${JSON.stringify({ headers, body })}`, 'utf16le')],
    ['JSON with rawHeaders-like pairs', JSON.stringify({ headers: Object.entries(headers), body })],
    ['an event of API Gateway', JSON.stringify({ headers, body: btoa(body), isBase64Encoded: true })],
    [
      'HAR',
      JSON.stringify({
        request: {
          headers: Object.entries(headers).map(([name, value]) => ({ name, value })),
          postData: { text: body },
        },
      }),
    ],
    ['a Buffer as JSON has it', JSON.stringify({ headers, body: Buffer.from(body) })],
    [
      'headers as CGI has them',
      JSON.stringify({
        headers: Object.fromEntries(
          Object.entries(headers).map(([k, v]) => [`HTTP_${k.toUpperCase().replaceAll('-', '_')}`, v]),
        ),
        body,
      }),
    ],
  ])('%s', async (_, request) => {
    expect(await ask(request)).toMatchObject({ codes: [], verifies: true });
  });

  it('parts', async () => {
    const place = workplace(secret);
    place.write('body', body);
    place.write('body64', btoa(body));
    place.write('secret', `${secret}\n`);
    const parts = ['--signature', headers['X-Vast-Signature-256'] as string, '--timestamp', String(timestamp)];
    const env = { VAST_WEBHOOK_SECRET: secret };
    expect(await place.call(['verify', '--body', 'body', ...parts], { env })).toMatchObject({ status: 0 });
    expect(await place.call(['verify', '--body', 'body64', '--base64', ...parts], { env })).toMatchObject({
      status: 0,
    });
    expect(await place.call(['verify', '--body', '-', ...parts], { env, stdin: body })).toMatchObject({ status: 0 });
    const bySecret = await place.call(['verify', '--body', 'body', ...parts, '--secret-file', 'secret']);
    expect(bySecret).toMatchObject({ status: 0 });
    expect(bySecret.out).toContain('newline at its end');
    expect(await place.call(['verify', '--body', 'body', ...parts, '--secret', secret])).toMatchObject({ status: 0 });
  });
});

describe('what is wrong with the secret', () => {
  const other = 'the-secret-of-another-webhook-0123456789';
  it.each([
    ['another one', other, 'wrong_secret'],
    ['a newline at its end', `${secret}\n`, 'white_space_in_secret'],
    ['white space at its ends', ` ${secret}\t`, 'white_space_in_secret'],
    ['a newline as an escape', `${secret}\\n`, 'white_space_in_secret'],
    ['white space within', `${secret.slice(0, 20)} ${secret.slice(20)}`, 'white_space_in_secret'],
    ['quotes', `"${secret}"`, 'quotes_in_secret'],
    ['a byte-order mark', `\uFEFF${secret}`, 'white_space_in_secret'],
    ["another provider's prefix", `whsec_${secret}`, 'secret_prefix'],
    ["another provider's secret", `whsec_${other}`, 'secret_prefix'],
    ['upper case', secret.toUpperCase(), 'secret_case'],
    ['a URL', 'https://hooks.slack.com/services/x', 'wrong_secret'],
  ])('%s', async (_, given, code) => {
    const { codes, verifies } = await ask(capture(utf8Body), [], { VAST_WEBHOOK_SECRET: given });
    expect(codes).toEqual([code]);
    expect(verifies).toBe(false);
  });

  it('is the API key', async () => {
    const { causes } = await ask(capture(utf8Body), [], { VAST_WEBHOOK_SECRET: 'key-1', VAST_API_KEY: 'key-1' });
    expect(causes[0]?.cause).toContain('is the API key');
  });

  it('is the one of another webhook, whose secret stands beside it', async () => {
    const { causes } = await ask(capture(utf8Body), [], {
      VAST_WEBHOOK_SECRET: other,
      VAST_HOST_WEBHOOK_SECRET: secret,
    });
    expect(causes).toMatchObject([
      { code: 'other_secret', cause: expect.stringContaining('VAST_HOST_WEBHOOK_SECRET of the environment') },
    ]);
  });

  it('is shadowed in .env by the environment', async () => {
    const place = workplace(secret, other);
    place.write('.env', `VAST_WEBHOOK_SECRET=${secret}\n`);
    const { status, out } = await place.call(['verify'], {
      stdin: capture(utf8Body),
      env: { VAST_WEBHOOK_SECRET: other },
    });
    expect(out).toContain(
      'signed with the secret in VAST_WEBHOOK_SECRET of .env, and checked with the one in VAST_WEBHOOK_SECRET of the environment',
    );
    expect(status).toBe(1);
  });

  it('is one of several, of which any may match', async () => {
    const list = { VAST_WEBHOOK_SECRETS: `renter=${other},host=${secret}` };
    expect(await ask(capture(utf8Body), [], list)).toMatchObject({ verifies: true });
    const place = workplace(secret, other);
    place.write('secrets', `${other}\n${secret}\n`);
    expect(await place.call(['verify', '--secret-file', 'secrets'], { stdin: capture(utf8Body) })).toMatchObject({
      status: 0,
    });
  });

  it.each([
    ['hex', Buffer.from(secret, 'hex'), 'decoded_secret', secret],
    ['base64 behind whsec_', Buffer.from('c2VjcmV0LWJ5dGVz', 'base64'), 'secret_prefix', 'whsec_c2VjcmV0LWJ5dGVz'],
  ])('was decoded from %s', async (_, key, code, given) => {
    const timestamp = String(nowSeconds());
    const digest = createHmac('sha256', key).update(`${timestamp}.${utf8Body}`).digest('hex');
    const request = JSON.stringify({
      headers: { 'x-vast-signature-256': `sha256=${digest}`, 'x-vast-timestamp': timestamp },
      body: utf8Body,
    });
    expect((await ask(request, [], { VAST_WEBHOOK_SECRET: given })).codes).toEqual([code]);
  });
});

describe('what happened to the body', () => {
  const parsed = JSON.parse(pythonBody) as object;
  const latin1 = Buffer.from(JSON.stringify({ subject: 'café' }), 'latin1');
  const cafe = JSON.stringify({ subject: 'café' });
  it.each<[string, string | Buffer, string | Buffer, string | string[]]>([
    ['printed again by JSON.stringify', pythonBody, JSON.stringify(parsed), 'reserialized_body'],
    ['printed again with indentation', pythonBody, JSON.stringify(parsed, undefined, 2), 'reserialized_body'],
    [
      'printed again in another order',
      pythonBody,
      JSON.stringify(Object.fromEntries(Object.entries(parsed).sort())),
      'reserialized_body',
    ],
    ['compact, printed again with spaces', JSON.stringify(parsed), pythonBody, 'reserialized_body'],
    [
      'escaped as Go does, printed again',
      JSON.stringify(parsed).replace(/[<>&]/g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`),
      JSON.stringify(parsed),
      'reserialized_body',
    ],
    [
      'escaped as PHP does, printed again',
      JSON.stringify(parsed).replaceAll('/', '\\/'),
      JSON.stringify(parsed),
      'reserialized_body',
    ],
    ['a newline added', utf8Body, `${utf8Body}\n`, 'newline_added'],
    ['a Windows newline added', utf8Body, `${utf8Body}\r\n`, 'newline_added'],
    ['a newline removed', `${utf8Body}\n`, utf8Body, 'newline_removed'],
    ['line endings changed', '{\n"a": 1\n}', '{\r\n"a": 1\r\n}', 'line_endings'],
    ['a byte-order mark added', utf8Body, `\uFEFF${utf8Body}`, 'byte_order_mark'],
    ['a byte-order mark removed', `\uFEFF${utf8Body}`, utf8Body, 'byte_order_mark'],
    ['a byte-order mark and a newline added', utf8Body, `\uFEFF${utf8Body}\n`, ['byte_order_mark', 'newline_added']],
    ['compressed by gzip', utf8Body, gzipSync(utf8Body), 'compressed_body'],
    ['compressed by deflate', utf8Body, deflateSync(utf8Body), 'compressed_body'],
    ['compressed by brotli', utf8Body, brotliCompressSync(utf8Body), 'compressed_body'],
    ['inflated', gzipSync(utf8Body), utf8Body, 'inflated_body'],
    ['in base64', utf8Body, Buffer.from(utf8Body).toString('base64'), 'base64_body'],
    ['within quotes', utf8Body, JSON.stringify(utf8Body), 'quoted_body'],
    ['in UTF-16', utf8Body, Buffer.from(`\uFEFF${utf8Body}`, 'utf16le'), 'utf16_body'],
    [
      'in UTF-16 with a newline',
      utf8Body,
      Buffer.from(`\uFEFF${utf8Body}\r\n`, 'utf16le'),
      ['utf16_body', 'newline_added'],
    ],
    ['in Latin-1', cafe, latin1, 'latin1_body'],
    ['read as Latin-1, written as UTF-8', cafe, Buffer.from(cafe).toString('latin1'), 'mojibake_body'],
    [
      'read as Windows-1252, written as UTF-8',
      utf8Body,
      new TextDecoder('windows-1252').decode(Buffer.from(utf8Body)),
      'mojibake_body',
    ],
    ['normalised', cafe, cafe.normalize('NFD'), 'normalized_body'],
    ['empty', utf8Body, '', ['empty_body', 'wrong_secret']],
    ['decoded beyond repair', latin1, latin1.toString('utf8'), ['undecodable_body', 'wrong_secret']],
  ])('%s', async (_, sent, kept, codes) => {
    const answer = await ask(capture(sent, { body: kept }));
    expect(answer.codes).toEqual([codes].flat());
    expect(answer.verifies).toBe(false);
  });

  it('kept as an object', async () => {
    const timestamp = nowSeconds();
    const request = JSON.stringify({
      headers: { 'x-vast-signature-256': sign(pythonBody, secret, timestamp), 'x-vast-timestamp': timestamp },
      body: parsed,
    });
    const { codes, causes } = await ask(request);
    expect(codes).toEqual(['reserialized_body']);
    expect(causes[0]?.cause).toContain('kept as the object');
  });

  it('cut', async () => {
    const headers = { 'Content-Length': String(Buffer.byteLength(utf8Body)) };
    expect((await ask(capture(utf8Body, { body: utf8Body.slice(0, 99), headers }))).codes).toEqual([
      'body_length',
      'wrong_secret',
    ]);
  });

  it('compressed on its way, in a form that cannot be had back', async () => {
    const headers = { 'Content-Encoding': 'zstd' };
    expect((await ask(capture('other bytes', { body: utf8Body, headers }))).codes).toEqual([
      'content_encoding',
      'wrong_secret',
    ]);
  });

  it('is looked through in reasonable time when it is large', async () => {
    const large = JSON.stringify({ message: 'x'.repeat(65_000) });
    expect((await ask(capture(large, { body: `${large} ` }))).codes).toEqual(['newline_added']);
    expect((await ask(capture('another', { body: large }))).codes).toEqual(['wrong_secret']);
  });
});

describe('what is wrong with the headers', () => {
  const timestamp = nowSeconds();
  const digest = sign(utf8Body, secret, timestamp).slice('sha256='.length);
  const withSignature = (value: string) => capture(utf8Body, { headers: { 'X-Vast-Signature-256': value } }, timestamp);
  it.each([
    ['upper case', `sha256=${digest.toUpperCase()}`, ['uppercase_signature']],
    ['no sha256=', digest, ['signature_prefix']],
    ['both', digest.toUpperCase(), ['uppercase_signature', 'signature_prefix']],
    ['twice', `sha256=${digest}, sha256=${digest}`, ['duplicated_signature']],
    ['quotes', `"sha256=${digest}"`, ['malformed_signature']],
    ['base64', `sha256=${Buffer.from(digest, 'hex').toString('base64')}`, ['malformed_signature']],
    ['cut', `sha256=${digest.slice(1)}`, ['malformed_signature']],
    ['empty', '', ['malformed_signature']],
  ])('signature: %s', async (_, value, codes) => {
    expect((await ask(withSignature(value))).codes).toEqual(codes);
  });

  it('signature missing, and whose it may be', async () => {
    const { codes } = await ask(JSON.stringify({ headers: { 'x-vast-timestamp': '1' }, body: '{}' }));
    expect(codes).toEqual(['missing_signature']);
    const shodai = await ask(JSON.stringify({ headers: { 'x-shodai-webhook-signature': 'x' }, body: '{}' }));
    expect(shodai.codes).toEqual(['other_provider', 'missing_timestamp']);
    const github = await ask(JSON.stringify({ headers: { 'x-hub-signature-256': 'x' }, body: '{}' }));
    expect(github.causes[0]?.cause).toContain('x-hub-signature-256');
  });

  it('timestamp missing', async () => {
    const request = JSON.stringify({ headers: { 'x-vast-signature-256': `sha256=${digest}` }, body: utf8Body });
    expect((await ask(request)).codes).toContain('missing_timestamp');
  });

  it.each([
    ['milliseconds, signed so', `${timestamp}000`, `${timestamp}000`, ['milliseconds']],
    ['milliseconds, signed in seconds', String(timestamp), `${timestamp}000`, ['milliseconds']],
    ['a fraction', String(timestamp), `${timestamp}.5`, ['malformed_timestamp']],
    ['a date', String(timestamp), new Date(timestamp * 1000).toISOString(), ['malformed_timestamp']],
    ['not signed', undefined, String(timestamp), ['timestamp_not_signed']],
  ])('timestamp: %s', async (_, signed, kept, codes) => {
    const hmac = createHmac('sha256', secret);
    const signature = `sha256=${hmac
      .update(signed === undefined ? '' : `${signed}.`)
      .update(utf8Body)
      .digest('hex')}`;
    const request = JSON.stringify({
      headers: { 'x-vast-signature-256': signature, 'x-vast-timestamp': kept },
      body: utf8Body,
    });
    expect((await ask(request)).codes).toEqual(codes);
  });
});

describe('the clock', () => {
  it('is behind when a request was signed later than now', async () => {
    const { codes, causes } = await ask(capture(utf8Body, {}, nowSeconds() + 400));
    expect(codes).toEqual(['future_timestamp']);
    expect(causes[0]?.cause).toMatch(/(399|400) s later than now/);
  });

  it.each([
    ['behind', -301, ['future_timestamp']],
    ['right', 300, []],
    ['ahead', 301, ['stale_timestamp']],
  ])('of the receiver was %s, when it was kept when the request arrived', async (_, skew, codes) => {
    const timestamp = 1_788_000_000;
    const rest = { receivedAt: (timestamp + skew) * 1000 };
    expect((await ask(capture(utf8Body, { rest }, timestamp))).codes).toEqual(codes);
    const at = new Date(rest.receivedAt).toISOString();
    expect((await ask(capture(utf8Body, {}, timestamp), ['--received-at', at])).codes).toEqual(codes);
  });
});

describe('bad input', () => {
  const env = { VAST_WEBHOOK_SECRET: secret };
  it.each([
    ['no secret', ['verify'], {}, '', 1, /there is no secret: set VAST_WEBHOOK_SECRET/],
    ['no file', ['verify', '--file', 'nowhere.json'], env, '', 1, /ENOENT/],
    ['what is no request', ['verify'], env, '<html>', 1, /this is no request/],
    ['nothing', ['verify'], env, '', 1, /this is no request/],
    ['a body without its headers', ['verify', '--body', '-'], env, 'x', 2, /--signature/],
    ['a file and a body', ['verify', '--file', 'a', '--body', 'b'], env, '', 2, /not both/],
    ['two secrets', ['verify', '--secret', 'a', '--secret-env', 'B'], env, '', 2, /give one of/],
    ['a variable that is not there', ['verify', '--secret-env', 'NONE'], env, '', 1, /NONE/],
    ['an odd time', ['verify', '--received-at', 'noon'], env, '{}', 2, /--received-at/],
    ['an odd tolerance', ['verify', '--tolerance', '1m'], env, '{}', 2, /--tolerance|whole number/],
    ['an unknown flag', ['verify', '--fil', 'x'], env, '', 2, /--file/],
  ])('%s', async (_, args, variables, stdin, expected, message) => {
    const { status, err } = await workplace(secret).call(args, { env: variables as Record<string, string>, stdin });
    expect(err).toMatch(message);
    expect(status).toBe(expected);
  });

  it('nobody types a request', async () => {
    const { status, err } = await workplace().call(['verify'], { env, typed: '' });
    expect(err).toContain('--file');
    expect(status).toBe(2);
  });
});
