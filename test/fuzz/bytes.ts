/** Turns a case into the bytes to send. */
import { createHmac } from 'node:crypto';
import vectors from '../fixtures/vectors.json' with { type: 'json' };
import { idOf } from './faults.js';
import { terms } from './observer.js';

export const nowSeconds = Math.floor(terms.nowMs / 1000);

/** A change to bytes. Positions wrap around, so that any number is one. */
export interface Edit {
  readonly at: number;
  readonly what: 'flip' | 'set' | 'insert' | 'delete' | 'double';
  readonly value: number;
  readonly count: number;
}

type Signing = 'right' | 'other key' | 'other body' | 'upper case' | 'bare hex' | 'cut' | 'none';

export type Framing =
  | { readonly by: 'length' }
  /** The value of the header, which may be false: a number to add, or a text to replace it. */
  | { readonly by: 'lying length'; readonly says: number | string }
  | { readonly by: 'two lengths'; readonly add: number }
  | { readonly by: 'chunks'; readonly sizes: readonly number[]; readonly extra: Extra; readonly says: string }
  | { readonly by: 'both'; readonly sizes: readonly number[] }
  | { readonly by: 'nothing' };

type Extra = 'nothing' | 'extensions' | 'trailers' | 'zeros' | 'no end' | 'odd size' | 'long size';

/** One request, near enough to a delivery. */
export interface Shape {
  /** Which of the real deliveries it is made of, and which of the case's events it carries. */
  readonly vector: number;
  readonly event: number;
  /** The faults behind the signature. */
  readonly digits: readonly number[];
  /** White space behind the JSON, to come near the limit. */
  readonly padding: number;
  /** Done to the body before it is signed, and after. */
  readonly signedEdits: readonly Edit[];
  readonly bodyEdits: readonly Edit[];
  readonly signing: Signing;
  readonly timestamp: string;
  readonly method: string;
  readonly target: string;
  readonly version: string;
  readonly casing: 'as sent' | 'upper' | 'lower';
  readonly repeated: readonly number[];
  readonly left: readonly number[];
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** So many more headers. */
  readonly flood: number;
  readonly framing: Framing;
}

/** The requests of a case carry events of their own at every run, because a service remembers delivered events. */
export function bytesOf(shape: Shape, serials: readonly string[]): Buffer {
  const body = bodyOf(shape, serials[shape.event % serials.length] as string);
  const sent = edited(body, shape.bodyEdits);
  const { method, target, version } = shape;
  const lines = [`${method} ${target} ${version}`, ...headersOf(shape, body, sent).map((pair) => pair.join(': '))];
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), framed(sent, shape.framing)]);
}

export function edited(bytes: Buffer, edits: readonly Edit[]): Buffer {
  let result = bytes;
  for (const { at, what, value, count } of edits) {
    const from = result.length === 0 ? 0 : at % result.length;
    const before = result.subarray(0, from);
    const after = result.subarray(from);
    switch (what) {
      case 'flip':
      case 'set':
        result = Buffer.from(result);
        if (from < result.length) result[from] = what === 'set' ? value : (result[from] as number) ^ (1 << (value % 8));
        break;
      case 'insert':
        result = Buffer.concat([before, Buffer.alloc(count, value), after]);
        break;
      case 'delete':
        result = Buffer.concat([before, after.subarray(count)]);
        break;
      case 'double':
        result = Buffer.concat([before, after.subarray(0, count), after]);
    }
  }
  return result;
}

function bodyOf({ vector, digits, padding, signedEdits }: Shape, serial: string): Buffer {
  const { body } = vectors.vast[vector % vectors.vast.length] as { body: string };
  const text = body.replace(/[0-9a-f]{32}/, idOf(serial, digits)) + ' '.repeat(padding);
  return edited(Buffer.from(text), signedEdits);
}

function headersOf(shape: Shape, body: Buffer, sent: Buffer): [string, string][] {
  const { signing, timestamp, casing, repeated, left, headers, flood } = shape;
  const own: [string, string][] = [
    ['Host', 'service.test'],
    ['X-Vast-Signature-256', signature(body, signing, timestamp)],
    ['X-Vast-Timestamp', timestamp],
    ['X-Vast-Delivery-Attempt', '1'],
    ['Content-Type', 'application/json'],
    ...framingHeaders(shape.framing, sent.length),
  ];
  const named = own
    .filter(([name], i) => !left.includes(i) && !(signing === 'none' && name === 'X-Vast-Signature-256'))
    .map(([name, value]): [string, string] => [inCase(name, casing), value]);
  return [
    ...named,
    ...repeated.map((i) => own[i % own.length] as [string, string]),
    ...headers.map(([name, value]): [string, string] => [name, value]),
    ...Array.from({ length: flood }, (_, i): [string, string] => [`x${i}`, '']),
  ];
}

function inCase(name: string, casing: Shape['casing']): string {
  return casing === 'upper' ? name.toUpperCase() : casing === 'lower' ? name.toLowerCase() : name;
}

function signature(body: Buffer, signing: Signing, timestamp: string): string {
  const key = signing === 'other key' ? 'forged' : terms.secret;
  const hmac = createHmac('sha256', key)
    .update(`${timestamp}.`)
    .update(signing === 'other body' ? '{}' : body);
  const hex = hmac.digest('hex');
  switch (signing) {
    case 'upper case':
      return `sha256=${hex.toUpperCase()}`;
    case 'bare hex':
      return hex;
    case 'cut':
      return `sha256=${hex.slice(0, 63)}`;
    default:
      return `sha256=${hex}`;
  }
}

function framingHeaders(framing: Framing, length: number): [string, string][] {
  switch (framing.by) {
    case 'length':
      return [['Content-Length', String(length)]];
    case 'lying length':
      return [
        [
          'Content-Length',
          typeof framing.says === 'string' ? framing.says : String(Math.max(0, length + framing.says)),
        ],
      ];
    case 'two lengths':
      return [
        ['Content-Length', String(length)],
        ['Content-Length', String(length + framing.add)],
      ];
    case 'chunks':
      return [['Transfer-Encoding', framing.says]];
    case 'both':
      return [
        ['Content-Length', String(length)],
        ['Transfer-Encoding', 'chunked'],
      ];
    case 'nothing':
      return [];
  }
}

function framed(body: Buffer, framing: Framing): Buffer {
  if (framing.by !== 'chunks' && framing.by !== 'both') return body;
  const extra = framing.by === 'chunks' ? framing.extra : 'nothing';
  const parts: Buffer[] = [];
  for (let at = 0, i = 0; at < body.length; i++) {
    const size = Math.max(1, framing.sizes[i % framing.sizes.length] ?? body.length);
    const data = body.subarray(at, at + size);
    parts.push(Buffer.from(`${sizeOf(data.length, extra)}\r\n`), data, Buffer.from('\r\n'));
    at += size;
  }
  const trailers = extra === 'trailers' ? 'X-Vast-Timestamp: 1\r\nContent-Length: 0\r\nX-T: 1\r\n' : '';
  if (extra !== 'no end') parts.push(Buffer.from(`0\r\n${trailers}\r\n`));
  return Buffer.concat(parts);
}

function sizeOf(length: number, extra: Extra): string {
  const hex = length.toString(16);
  switch (extra) {
    case 'extensions':
      return `${hex};name="value";x`;
    case 'zeros':
      return `000000${hex.toUpperCase()}`;
    case 'odd size':
      return `0x${hex}`;
    case 'long size':
      return `ffffffffffffffff${hex}`;
    default:
      return hex;
  }
}
