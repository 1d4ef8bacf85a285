import type { Outcome } from '../../../src/index.js';
import {
  anEvent,
  bytesOf,
  chunk,
  head,
  headersWith,
  type Message,
  nowSeconds,
  secret,
  signature,
  signed,
} from '../../support/requests.js';
import { type Case, closes, event, genuine, good, onConnection, rejected, withHeaders } from './case.js';

/** The fields of an outcome that are known of a signed body without an event. */
const signedOnly = { webhook: 'renter', skewSeconds: 0 };

const unauthorized = (reason: NonNullable<Outcome['reason']>, message: () => Message, send?: Case['send']): Case => ({
  ...(send ? { send } : { message }),
  answer: { status: 401, error: 'invalid_signature' },
  outcome: rejected('invalid_signature', reason),
});
const malformed = (value: string) =>
  unauthorized('malformed_signature', withHeaders({ 'X-Vast-Signature-256': value }));
const signedAt = (timestamp: string | number) => () => signed(event, { timestamp });
const hex = 'ab'.repeat(32);

/** Requests that no retry can mend, and their neighbours. */
export const rejections: Readonly<Record<string, Case>> = {
  ...Object.fromEntries(
    ['GET', 'PUT', 'HEAD', 'OPTIONS', 'DELETE', 'PATCH'].map((method): [string, Case] => [
      `method_not_allowed: ${method}`,
      {
        message: () => ({ ...good(), method }),
        answer: { status: 405, error: 'method_not_allowed', headers: { allow: 'POST' } },
        outcome: rejected('method_not_allowed'),
      },
    ]),
  ),
  'invalid_signature: no signature': unauthorized(
    'missing_signature',
    withHeaders({ 'X-Vast-Signature-256': undefined }),
  ),
  'invalid_signature: neither signature nor timestamp': unauthorized(
    'missing_signature',
    withHeaders({ 'X-Vast-Signature-256': undefined, 'X-Vast-Timestamp': undefined }),
  ),
  'invalid_signature: an empty signature': malformed(''),
  'invalid_signature: another algorithm': malformed(`sha1=${hex}`),
  'invalid_signature: no algorithm': malformed(hex),
  'invalid_signature: a digit too few': malformed(`sha256=${hex.slice(1)}`),
  'invalid_signature: a digit too many': malformed(`sha256=${hex}a`),
  'invalid_signature: a character that is no digit': malformed(`sha256=${hex.slice(1)}g`),
  'invalid_signature: upper-case digits, although the digest is right': unauthorized('malformed_signature', () => {
    const { body, headers } = good();
    const digest = signature(body, secret, nowSeconds).slice('sha256='.length);
    return { body, headers: headersWith(headers, { 'X-Vast-Signature-256': `sha256=${digest.toUpperCase()}` }) };
  }),
  'invalid_signature: an upper-case algorithm': unauthorized('malformed_signature', () => {
    const { body, headers } = good();
    const value = signature(body, secret, nowSeconds).replace('sha256', 'SHA256');
    return { body, headers: headersWith(headers, { 'X-Vast-Signature-256': value }) };
  }),
  'invalid_signature: the signature twice, both right': unauthorized('malformed_signature', () => {
    const { body, headers } = good();
    return { body, headers: [...headers, ['X-Vast-Signature-256', signature(body, secret, nowSeconds)]] };
  }),
  'invalid_signature: no timestamp': unauthorized('missing_timestamp', withHeaders({ 'X-Vast-Timestamp': undefined })),
  ...Object.fromEntries(
    ['', '1e9', '-1', '+1800000000', '1800000000.0', '0x6b49d200', '18000000000000000', '180000000O', '¹²³'].map(
      (timestamp): [string, Case] => [
        `invalid_signature: the timestamp ${JSON.stringify(timestamp)}`,
        unauthorized('malformed_timestamp', signedAt(timestamp)),
      ],
    ),
  ),
  'invalid_signature: the timestamp twice': unauthorized('malformed_timestamp', () => {
    const { body, headers } = good();
    return { body, headers: [...headers, ['X-Vast-Timestamp', String(nowSeconds)]] };
  }),
  'invalid_signature: signed 301 s ago': unauthorized('stale_timestamp', signedAt(nowSeconds - 301)),
  'invalid_signature: signed in 301 s': unauthorized('future_timestamp', signedAt(nowSeconds + 301)),
  'invalid_signature: milliseconds for seconds': unauthorized('future_timestamp', signedAt(nowSeconds * 1000)),
  'invalid_signature: another secret': unauthorized('signature_mismatch', () => signed(event, { key: 'another' })),
  'invalid_signature: a tampered body': unauthorized('signature_mismatch', () => {
    const { body, headers } = good();
    return { headers, body: body.toString().replace('outbid', 'outbit') };
  }),
  'invalid_signature: another timestamp than was signed': unauthorized(
    'signature_mismatch',
    withHeaders({ 'X-Vast-Timestamp': String(nowSeconds + 1) }),
  ),
  'invalid_signature: no body': unauthorized('signature_mismatch', () => ({ headers: good().headers })),
  'invalid_signature: no byte of the body is waited for when the signature is malformed': unauthorized(
    'malformed_signature',
    good,
    async (service) => {
      const headers = headersWith(good().headers, { 'X-Vast-Signature-256': 'none', 'Content-Length': '1000' });
      const connection = await onConnection(service, head('POST', service.endpoint, headers));
      return connection.answer();
    },
  ),
  'invalid_signature: no byte of the body is waited for when it is stale': unauthorized(
    'stale_timestamp',
    good,
    async (service) => {
      const { headers } = signed(event, { timestamp: nowSeconds - 999 });
      const endless = headersWith(headers, { 'Transfer-Encoding': 'chunked' });
      const connection = await onConnection(service, head('POST', service.endpoint, endless), '5\r\nab');
      return connection.answer();
    },
  ),
  'payload_too_large: by its Content-Length, before any of the body arrived': {
    send: async (service) => {
      const headers = headersWith(good().headers, { 'Content-Length': String(64 * 1024 + 1) });
      const connection = await onConnection(service, head('POST', service.endpoint, headers));
      return connection.answer();
    },
    answer: { status: 413, error: 'payload_too_large', headers: closes },
    outcome: rejected('payload_too_large'),
  },
  'payload_too_large: in chunks, and the connection is closed afterwards': {
    send: async (service) => {
      const headers = headersWith(good().headers, { 'Transfer-Encoding': 'chunked' });
      const connection = await onConnection(service, head('POST', service.endpoint, headers));
      for (let kb = 0; kb < 70; kb++) connection.write(chunk(Buffer.alloc(1024, 32)));
      const answer = await connection.answer();
      connection.write(bytesOf({ target: '/elsewhere', headers: [['Content-Type', 'application/json']], body: '{}' }));
      await connection.closed;
      return answer;
    },
    answer: { status: 413, error: 'payload_too_large', headers: closes },
    outcome: rejected('payload_too_large'),
  },
  'payload_too_large: reaches also a sender that sends on': {
    send: async (service) => {
      const headers = headersWith(good().headers, { 'Transfer-Encoding': 'chunked' });
      const connection = await onConnection(service, head('POST', service.endpoint, headers));
      const megabyte = chunk(Buffer.alloc(1024 * 1024, 32));
      for (let mb = 0; mb < 8; mb++) connection.write(megabyte);
      return connection.answer();
    },
    answer: { status: 413, error: 'payload_too_large', headers: closes },
    outcome: rejected('payload_too_large'),
  },
  'payload_too_large: a byte over a limit of the service’s own': {
    setup: () => ({ options: { limit: 10 } }),
    message: () => signed('{"a":"1234"'),
    answer: { status: 413, error: 'payload_too_large', headers: closes },
    outcome: rejected('payload_too_large'),
  },
  'unsupported_encoding: gzip, and no secret matches': {
    message: () => {
      const { body, headers } = signed(anEvent(), { key: 'another' });
      return { body, headers: headersWith(headers, { 'Content-Encoding': 'gzip' }) };
    },
    answer: { status: 415, error: 'unsupported_encoding' },
    outcome: rejected('unsupported_encoding'),
  },
  'unsupported_encoding: is checked after the length': {
    message: () => ({
      headers: headersWith(good().headers, { 'Content-Encoding': 'br' }),
      body: Buffer.alloc(70_000, 32),
    }),
    answer: { status: 413, error: 'payload_too_large', headers: closes },
    outcome: rejected('payload_too_large'),
  },
  'unsupported_encoding: is checked after the signature headers': unauthorized(
    'missing_signature',
    withHeaders({ 'Content-Encoding': 'gzip', 'X-Vast-Signature-256': undefined }),
  ),
  ...Object.fromEntries(
    ['utf-8', 'gzip', 'br', 'aws-chunked', ''].map((encoding): [string, Case] => [
      `an encoding of ${JSON.stringify(encoding)} does not matter when the signature matches`,
      {
        message: withHeaders({ 'Content-Encoding': encoding }),
        answer: { status: 204 },
        outcome: { result: 'accepted', status: 204, permanent: false, ...genuine },
        handled: 1,
      },
    ]),
  ),
  'identity is no encoding': {
    message: withHeaders({ 'Content-Encoding': 'Identity' }),
    answer: { status: 204 },
    outcome: { result: 'accepted', status: 204, permanent: false, ...genuine },
    handled: 1,
  },
  ...Object.fromEntries(
    ['{', 'hello', '{"a":1}x', "{'a':1}", 'undefined'].map((body): [string, Case] => [
      `invalid_json: ${JSON.stringify(body)}`,
      {
        message: () => signed(body),
        answer: { status: 400, error: 'invalid_json' },
        outcome: rejected('invalid_json', undefined, signedOnly),
      },
    ]),
  ),
  ...Object.fromEntries(
    ['[]', '[{"event_id":"a"}]', 'null', '42', '"text"', 'true'].map((body): [string, Case] => [
      `invalid_payload: ${body}`,
      {
        message: () => signed(body),
        answer: { status: 400, error: 'invalid_payload' },
        outcome: rejected('invalid_payload', undefined, signedOnly),
      },
    ]),
  ),
};
