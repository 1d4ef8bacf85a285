/** The cases, as arbitraries of fast-check, so that a seed repeats a run and a failure is shrunk. */
import fc from 'fast-check';
import { type Edit, type Framing, nowSeconds, type Shape } from './bytes.js';
import { faulty } from './faults.js';
import { terms } from './observer.js';

/** How bytes go out on one connection: in pieces, and how that ends. */
export interface Lane {
  readonly requests: readonly Shape[];
  /** Changes to all bytes together, including start lines and headers. */
  readonly edits: readonly Edit[];
  /** Sends only so many thousandths. */
  readonly part: number;
  /** Where the bytes are cut, and how long it takes until the next piece. */
  readonly cuts: readonly { readonly at: number; readonly pauseMs: number }[];
  /** Cuts all else into pieces of so many bytes; 0 for none. */
  readonly every: number;
  readonly end: 'wait' | 'half-close' | 'hang up' | 'reset';
}

/** Some connections at once, whose requests may carry the same events. */
export interface Case {
  readonly lanes: readonly Lane[];
}

const rarely = <T>(usual: T, weight: number, ...others: fc.Arbitrary<T>[]) =>
  fc.oneof({ weight, arbitrary: fc.constant(usual) }, ...others.map((arbitrary) => ({ weight: 1, arbitrary })));
const few = <T>(arbitrary: fc.Arbitrary<T>, weight: number, maxLength: number) =>
  rarely<T[]>([], weight, fc.array(arbitrary, { minLength: 1, maxLength }));

const edit: fc.Arbitrary<Edit> = fc.record({
  at: fc.nat({ max: 1_200 }),
  what: fc.constantFrom('flip', 'set', 'insert', 'delete', 'double'),
  value: fc.oneof(fc.nat({ max: 255 }), fc.constantFrom(0, 9, 10, 13, 32, 44, 58, 128, 192, 255)),
  count: fc.integer({ min: 1, max: 12 }),
});

const lengths = ['', ' ', '-1', '+5', '0x10', '1e3', '1.5', 'five', '007', '99999999999999999999', '5, 5', '5,6'];
const extras = ['nothing', 'extensions', 'trailers', 'zeros', 'no end', 'odd size', 'long size'] as const;
const codings = ['Chunked', 'identity', 'gzip, chunked', 'chunked, identity', 'xchunked', ''];
const edges = [-302, -301, -300, -299, 299, 300, 301, 302].map((seconds) => String(nowSeconds + seconds));
const oddTimes = ['', '0', '-1', '1e9', '0x6b49d200', '99999999999999999999', '999999999999999', 'NaN', 'Infinity'];
const oddNows = [`+${nowSeconds}`, `${nowSeconds}.0`, `00${nowSeconds}`, `${nowSeconds}, 1`, `${terms.nowMs}`];
const signings = ['other key', 'other body', 'upper case', 'bare hex', 'cut', 'none'] as const;
const methods = ['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'CONNECT', 'PURGE', 'post', 'FOO', 'PRI'];
const versions = ['HTTP/1.0', 'HTTP/2.0', 'HTTP/0.9', 'HTTP/1.2', 'http/1.1', ''];
const sameTargets = ['/VAST/Webhooks', '/vast/webhooks/', '/vast/webhooks?a=b', `http://service.test${terms.path}`];
const oddTargets = [
  '//vast/webhooks',
  '/vast//webhooks',
  '/%76ast/webhooks',
  '/vast%2fwebhooks',
  '/./vast/webhooks',
  '/vast/webhooks//',
  '/vast/webhooks/%2e',
  '/vast/webhooks%00',
  '/vast/webhooks%',
  '/vast/webhooks;x',
  '/vast/webhooks#x',
  '/vast\\webhooks',
  'vast/webhooks',
  '*',
  '/',
  '//',
  'http://',
  'http://service.test',
];

const sizes = fc.array(fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 300 })), { minLength: 1, maxLength: 3 });
const framing: fc.Arbitrary<Framing> = rarely<Framing>(
  { by: 'length' },
  6,
  fc.record({
    by: fc.constant('lying length'),
    says: fc.oneof(
      fc.integer({ min: -400, max: 400 }),
      fc.constantFrom(1, -1, 10_000_000),
      fc.constantFrom(...lengths),
    ),
  }),
  fc.record({ by: fc.constant('two lengths'), add: fc.constantFrom(0, 1, -1) }),
  fc.record({
    by: fc.constant('chunks'),
    sizes,
    extra: fc.constantFrom(...extras),
    says: rarely('chunked', 6, fc.constantFrom(...codings)),
  }),
  fc.record({ by: fc.constant('both'), sizes }),
  fc.record({ by: fc.constant('nothing') }),
);

const timestamp = rarely(
  String(nowSeconds),
  8,
  fc.constantFrom(...edges),
  fc.constantFrom(...oddTimes),
  fc.constantFrom(...oddNows),
);

const headers: readonly (readonly [string, string])[] = [
  ['Expect', '100-continue'],
  ['Expect', 'something'],
  ['Connection', 'close'],
  ['Connection', 'Upgrade'],
  ['Upgrade', 'websocket'],
  ['Upgrade', 'h2c'],
  ['Content-Encoding', 'gzip'],
  ['Content-Encoding', 'Identity'],
  ['Content-Encoding', ''],
  ['X-HTTP-Method-Override', 'GET'],
  ['X-Vast-Event-Id', 'another'],
  ['X-Vast-Delivery-Attempt', '99999999999'],
  ['X-Vast-Timestamp', String(nowSeconds)],
  ['X-Vast-Signature-256', `sha256=${'0'.repeat(64)}`],
  ['x_vast_signature_256', 'sha256='],
  ['__proto__', 'x'],
  ['constructor', 'x'],
  ['Content-Type', 'text/plain; charset=utf-16'],
  ['Transfer-Encoding', 'chunked'],
  ['Keep-Alive', 'timeout=0'],
  ['Content-Length ', '5'],
  [' folded', 'line'],
  ['X-Forwarded-For', 'a, b'],
  ['Cookie', 'a=b'],
];
const otherHeader: fc.Arbitrary<readonly [string, string]> = fc.oneof(
  fc.constantFrom(...headers),
  fc.tuple(
    fc.string({ unit: fc.constantFrom(...'abXY09-_!~'), minLength: 1, maxLength: 12 }),
    fc.string({ unit: fc.integer({ min: 0x20, max: 0xff }).map((code) => String.fromCharCode(code)), maxLength: 60 }),
  ),
);

const method = rarely('POST', 14, fc.constantFrom(...methods));
const target = rarely<string>(
  terms.path,
  8,
  fc.constantFrom(...sameTargets),
  fc.constantFrom(...oddTargets),
  fc.constantFrom('/elsewhere', '/other'),
);

const digits = rarely<number[]>(
  Object.values(faulty).map(() => 0),
  2,
  fc.tuple(...Object.values(faulty).map((max) => rarely(0, 2, fc.nat({ max })))) as fc.Arbitrary<number[]>,
);

const shape: fc.Arbitrary<Shape> = fc.record({
  vector: fc.nat({ max: 6 }),
  event: rarely(0, 2, fc.constant(1)),
  digits,
  padding: rarely(0, 12, fc.integer({ min: 1_200, max: 2_200 }), fc.constant(70_000)),
  signedEdits: few(edit, 10, 2),
  bodyEdits: few(edit, 8, 2),
  signing: rarely<Shape['signing']>('right', 8, fc.constantFrom(...signings)),
  timestamp,
  method,
  target,
  version: rarely('HTTP/1.1', 14, fc.constantFrom(...versions)),
  casing: fc.constantFrom('as sent', 'upper', 'lower'),
  repeated: few(fc.nat({ max: 5 }), 14, 2),
  left: few(fc.nat({ max: 5 }), 20, 2),
  headers: few(otherHeader, 3, 3),
  flood: rarely(0, 24, fc.integer({ min: 1, max: 400 }), fc.constant(2_100), fc.constant(5_000)),
  framing,
});

const lane: fc.Arbitrary<Lane> = fc.record({
  requests: rarely(1, 3, fc.constantFrom(2, 3)).chain((length) =>
    fc.array(shape, { minLength: length, maxLength: length }),
  ),
  edits: few(edit, 6, 3),
  part: rarely(1_000, 8, fc.nat({ max: 1_000 })),
  cuts: few(fc.record({ at: fc.nat({ max: 1_500 }), pauseMs: fc.constantFrom(0, 0, 0, 1, 5, 20, 300) }), 2, 3),
  every: rarely(0, 8, fc.constantFrom(1, 7, 64)),
  end: rarely<Lane['end']>('wait', 5, fc.constantFrom('half-close', 'hang up', 'reset')),
});

export const anyCase: fc.Arbitrary<Case> = fc.record({
  lanes: rarely(1, 6, fc.constantFrom(2, 3)).chain((length) =>
    fc.array(lane, { minLength: length, maxLength: length }),
  ),
});

const plainShape: Shape = {
  vector: 1,
  event: 0,
  digits: [0, 0, 0, 0, 0, 0, 0],
  padding: 0,
  signedEdits: [],
  bodyEdits: [],
  signing: 'right',
  timestamp: String(nowSeconds),
  method: 'POST',
  target: terms.path,
  version: 'HTTP/1.1',
  casing: 'as sent',
  repeated: [],
  left: [],
  headers: [],
  flood: 0,
  framing: { by: 'length' },
};
const plainLane: Lane = { requests: [plainShape], edits: [], part: 1_000, cuts: [], every: 0, end: 'wait' };

/** Whatever there is a list of, each by itself in a delivery that is right but for it, and a right one behind it. */
export function singles(): Case[] {
  const framings: Partial<Shape>[] = [
    ...[...lengths, -1, 1, 10_000_000].map((says) => ({ framing: { by: 'lying length', says } as const })),
    ...[0, 1].map((add) => ({ framing: { by: 'two lengths', add } as const })),
    ...extras.map((extra) => ({ framing: { by: 'chunks', sizes: [1, 90], extra, says: 'chunked' } as const })),
    ...codings.map((says) => ({ framing: { by: 'chunks', sizes: [50], extra: 'nothing', says } as const })),
    { framing: { by: 'both', sizes: [40] } },
    { framing: { by: 'nothing' } },
  ];
  const changes: Partial<Shape>[] = [
    {},
    ...[...edges, ...oddTimes, ...oddNows].map((timestamp) => ({ timestamp })),
    ...signings.map((signing) => ({ signing })),
    ...methods.map((method) => ({ method })),
    ...versions.map((version) => ({ version })),
    ...[...sameTargets, ...oddTargets].map((target) => ({ target })),
    ...headers.map((header) => ({ headers: [header] })),
    ...[0, 1, 2, 3, 4, 5].flatMap((i) => [{ repeated: [i] }, { left: [i] }]),
    ...[1_400, 2_000, 70_000].flatMap((padding) => [
      { padding },
      { padding, framing: { by: 'chunks', sizes: [100], extra: 'nothing', says: 'chunked' } as const },
    ]),
    ...[1, 400, 2_100, 5_000].map((flood) => ({ flood })),
    ...framings,
    ...Object.values(faulty).flatMap((most, i) =>
      Array.from({ length: most }, (_, digit) => ({ digits: plainShape.digits.with(i, digit + 1) })),
    ),
  ];
  const lanes = changes.map((change, i): Lane => {
    const changed = { ...plainShape, event: 2 * i, ...change };
    return { ...plainLane, requests: [changed, { ...plainShape, event: 2 * i + 1 }] };
  });
  // Later bytes would count as the rest of these.
  const alone = framings.map((change, i): Lane => {
    return { ...plainLane, requests: [{ ...plainShape, event: 2 * changes.length + i, ...change }] };
  });
  const again = Array.from({ length: 4 }, (): Lane => ({ ...plainLane, requests: [plainShape, plainShape] }));
  return [{ lanes: again }, ...inGroups([...lanes, ...alone])];
}

/** Every prefix of a delivery, one in `step`, each on a connection of its own, in groups that are sent at once. */
export function prefixes(end: Lane['end'], step: number): Case[] {
  const parts = Array.from({ length: Math.ceil(1_000 / step) }, (_, i) => i * step);
  const lanes = parts.map((part, event): Lane => ({ ...plainLane, requests: [{ ...plainShape, event }], part, end }));
  return inGroups(lanes);
}

function inGroups(lanes: readonly Lane[], size = 50): Case[] {
  return Array.from({ length: Math.ceil(lanes.length / size) }, (_, i) => ({
    lanes: lanes.slice(size * i, size * (i + 1)),
  }));
}

/** Senders by the hundred that take their time: a few bytes now and then. Some are done in time, and some are not. */
export function crowd(size: number): Case {
  const slow = (event: number): Lane => ({
    ...plainLane,
    requests: [{ ...plainShape, event, digits: [event % 2, event % 5, 0, 0, 0, 0, 0] }],
    cuts: Array.from({ length: 12 }, (_, i) => ({ at: 60 * i + (event % 50), pauseMs: 10 + ((event * 7) % 60) })),
  });
  return { lanes: Array.from({ length: size }, (_, event) => slow(event)) };
}
