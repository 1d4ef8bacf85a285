import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { signedDelivery } from '../../src/testing/index.js';
import { during, secret, serving } from '../command/serving.js';
import { googleChatStandIn, slackStandIn } from '../support/chat-stand-in.js';
import { type Case, expectedOf, facts } from './adapters.js';

/** What docs/migrate-from-the-python-adapters.md says is otherwise in `serve`, and is allowed for here. */
const statusOf = (expected: number) => (expected === 200 ? 204 : expected);

const word = fc.stringMatching(/^[a-zA-Z0-9]{1,12}$/);
const value = fc.oneof(
  { weight: 6, arbitrary: fc.array(word, { minLength: 1, maxLength: 4 }).map((words) => words.join('\n')) },
  { weight: 1, arbitrary: fc.integer() },
  { weight: 1, arbitrary: fc.boolean() },
  { weight: 1, arbitrary: fc.dictionary(word, word, { maxKeys: 3 }) },
  { weight: 1, arbitrary: fc.array(word, { maxLength: 3 }) },
  { weight: 1, arbitrary: fc.constantFrom(null, '', 0) },
  { weight: 1, arbitrary: fc.constant(word).chain((words) => words.map((each) => each.repeat(400))) },
);
const event = fc.record(
  {
    subject: value,
    message: value,
    notif_type: fc.oneof(fc.constantFrom('outbid', 'low_credit', 'gpuMelted'), fc.integer({ min: 1 })),
    event_id: fc.oneof(fc.uuid(), fc.integer({ min: 1 }), fc.constant('   ')),
    timestamp: fc.constantFrom(1_780_000_000.5, '@NaN@', '@Infinity@', '@-Infinity@'),
    text: word,
  },
  { requiredKeys: [] },
);
/** As Python's `json.dumps` writes numbers that JSON does not have. */
const written = event.map((each) => JSON.stringify(each).replace(/"@(-?\w+)@"/g, '$1'));
const body = fc.oneof(
  { weight: 12, arbitrary: written },
  { weight: 1, arbitrary: fc.constantFrom('', '[]', '7', 'null', '{', '{"a":}', '"text"') },
);
const cases = fc.record<Case>({
  body,
  isForged: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  chatStatus: fc.oneof(
    { weight: 9, arbitrary: fc.constant(200) },
    { weight: 1, arbitrary: fc.constantFrom(400, 404, 500, 503) },
  ),
});

/** As Python reads it. */
function parsedOf(text: string): unknown {
  try {
    return JSON.parse((text || '{}').replace(/(?<=:)-?(NaN|Infinity)(?=[,}])/g, '1'));
  } catch {
    return undefined;
  }
}

const seen = (text: string) => text.replaceAll('\u200B', '').replaceAll('\\', '');

describe('serve beside the adapters of the guides', () => {
  it('has a table of what they do', () => {
    expect(facts.length).toBeGreaterThan(10);
  });

  it.each([
    ['--slack', slackStandIn],
    ['--google-chat', googleChatStandIn],
  ] as const)(
    'with %s answers and shows what they do, or what the migration page says',
    async (flag, make) => {
      const chat = await during<{ readonly text: string }>(make() as never);
      const { url } = await serving([flag, chat.url]);
      let count = 0;
      await fc.assert(
        fc.asyncProperty(cases, async (each) => {
          // Each is an event of its own, also where it has no id.
          const unique = each.body.startsWith('{"') ? each.body.replace('{', `{"n":${++count},`) : each.body;
          const parsed = parsedOf(unique);
          const { status, lines } = expectedOf({ ...each, body: unique }, parsed);
          const before = chat.messages.length;
          chat.misbehave = each.chatStatus === 200 ? undefined : (res) => res.writeHead(each.chatStatus).end();
          const delivery = signedDelivery(unique, each.isForged ? 'another' : secret);
          const response = await fetch(url, { method: 'POST', ...delivery, headers: { ...delivery.headers } });
          await response.text();
          if (isSeenBefore(parsed, status)) return;
          expect(response.status).toBe(statusOf(status));
          const text = seen(
            chat.messages
              .slice(before)
              .map((message) => message.text)
              .join(),
          );
          for (const line of lines ?? []) expect(text).toContain(line);
        }),
        { numRuns: Number(process.env.ORACLE_RUNS ?? 300), seed: Number(process.env.ORACLE_SEED ?? 15) },
      );
      function isSeenBefore(parsed: unknown, status: number): boolean {
        const { event_id: given } = Object(parsed) as { event_id?: unknown };
        const isUsable = (typeof given === 'string' && given.trim() !== '') || Number.isSafeInteger(given);
        const id = JSON.stringify(isUsable ? given : parsed) ?? '';
        if (ids.has(id)) return status === 200 || status === 502;
        if (status === 200) ids.add(id);
        return false;
      }
    },
    60_000,
  );
  const ids = new Set<string>();
});
