import fc from 'fast-check';
import type { ChatConduct, Request } from './adapters.js';

/** A request, and how often the same event comes. */
export interface Case {
  /** `@N@` stands for a number that no other event has. */
  readonly json: string;
  readonly encoding: 'utf8' | 'with a byte-order mark' | 'not UTF-8';
  readonly signature: Request['signature'];
  readonly chat: ChatConduct;
  readonly path: string;
  /** Whether the sender sends once more what was taken. */
  readonly isRepeated: boolean;
}

const rarely = <T>(usual: fc.Arbitrary<T>, rare: fc.Arbitrary<T>, often = 12) =>
  fc.oneof({ weight: often, arbitrary: usual }, { weight: 1, arbitrary: rare });

const word = fc.oneof(
  fc.stringMatching(/^[a-zA-Z0-9]{1,12}$/),
  fc.constantFrom(
    'größer',
    '机器',
    '😀',
    '<!channel>',
    '<users/all>',
    '*bold*',
    '_x_',
    '`code`',
    '&amp;',
    '> quote',
    '@here',
    '"',
    '\\',
  ),
);
const words = fc.array(word, { minLength: 1, maxLength: 5 });
const text = fc.tuple(words, fc.constantFrom(' ', '\n', '\n\n')).map(([each, gap]) => each.join(gap));
const long = fc
  .tuple(words, fc.constantFrom(40, 200, 900, 5_000))
  .map(([each, times]) => Array.from({ length: times }, (_, i) => `${each[i % each.length]}${i}`).join(' '));
/** What is no text, as Python's `json.dumps` writes it. */
const other = fc.oneof(
  fc.integer(),
  fc.constantFrom(null, '', 0, false, true, 1.5, '   ', '@NaN@', '@Infinity@', '@-Infinity@'),
  fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.oneof(word, fc.integer()), { maxKeys: 3 }),
  fc.array(word, { maxLength: 3 }),
);
const texts = fc.oneof({ weight: 6, arbitrary: text }, { weight: 2, arbitrary: other }, { weight: 1, arbitrary: long });
const event = fc.record(
  {
    subject: texts,
    message: texts,
    notif_type: fc.oneof(
      fc.constantFrom('outbid', 'low_credit', 'instance_offline', 'webhook_test', 'machine_offline', 'gpuMelted'),
      fc.constantFrom('outbid', 'upcoming_downtime', 7, ['outbid'], { a: 'outbid' }, null),
    ),
    event_id: fc.constantFrom(
      'e@N@',
      'e@N@',
      'e@N@',
      '@N@',
      '#N#',
      '#N#',
      '   ',
      '\t',
      '',
      0,
      null,
      ['e@N@'],
      'e@N@ '.repeat(80),
    ),
    timestamp: fc.constantFrom(1_780_000_000.5, 1_780_000_000.5, '@NaN@', '@Infinity@', '@-Infinity@', null),
    user_id: fc.constantFrom(42, '@NaN@'),
    // A field that may be the next name of another one.
    body_text: text,
  },
  { requiredKeys: [] },
);
const json = rarely(
  event.map((each) =>
    JSON.stringify({ ...each, n: '#N#' })
      .replace(/"#N#"/g, '@N@')
      .replace(/"@(NaN|-?Infinity)@"/g, '$1'),
  ),
  fc.constantFrom(
    '',
    '[]',
    '7',
    'null',
    '{',
    '{"a":}',
    '"text"',
    '[{"event_id": "e@N@"}]',
    'NaN',
    '{"n": @N@, "a": nan}',
  ),
);
/** Of more than 64 kB, which the adapters take. */
const large = text.map((each) => JSON.stringify({ message: each, event_id: 'e@N@', more: 'm'.repeat(70_000) }));

const chat: fc.Arbitrary<ChatConduct> = fc.oneof(
  { weight: 120, arbitrary: fc.constant({ is: 'status', status: 200 } as const) },
  {
    weight: 16,
    arbitrary: fc.constantFrom(400, 403, 404, 429, 500, 503).map((status) => ({ is: 'status', status }) as const),
  },
  { weight: 4, arbitrary: fc.constantFrom(307, 308).map((status) => ({ is: 'redirect', status }) as const) },
  { weight: 4, arbitrary: fc.constantFrom({ is: 'reset' } as const, { is: 'refusal' } as const) },
  { weight: 1, arbitrary: fc.constantFrom(5.5, 5.5, 8.5).map((seconds) => ({ is: 'slow', seconds }) as const) },
);

export const cases: fc.Arbitrary<Case> = fc.record({
  json: rarely(json, large, 40),
  encoding: rarely(fc.constant('utf8' as const), fc.constantFrom('with a byte-order mark', 'not UTF-8'), 30),
  signature: rarely(
    fc.constant('genuine' as const),
    fc.constantFrom('forged', 'missing', 'stale', 'with a + before the timestamp'),
  ),
  chat,
  path: rarely(fc.constant('/'), fc.constantFrom('/vast/webhooks', '/any?x=1', '/a/b/')),
  isRepeated: rarely(fc.constant(false), fc.constant(true), 5),
});
