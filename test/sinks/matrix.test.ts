import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type MatrixOptions, matrix } from '../../src/sinks/index.js';
import { sampleEvent } from '../../src/testing/index.js';
import type { ChatStandIn } from '../support/chat-stand-in.js';
import { type MatrixStandInMessage, matrixRoom, matrixStandIn } from '../support/matrix-stand-in.js';
import { deliverTo, eventWith } from './deliver.js';
import { describeService } from './service-cases.js';

describeService({
  name: 'matrix',
  service: 'Matrix',
  standIn: matrixStandIn,
  success: { event_id: '$YUwRidLecu:example.com' },
  sink: ({ url, token }, options) =>
    matrix<object>({ ...options, homeserver: url, accessToken: token, roomId: matrixRoom }),
  limited: [{ errcode: 'M_LIMIT_EXCEEDED', error: 'Too many requests', retry_after_ms: 2_345 }, 2_345],
  refusals: [{ errcode: 'M_FORBIDDEN', error: 'no' }],
});

describe('matrix', () => {
  let chat: ChatStandIn<MatrixStandInMessage>;
  beforeAll(async () => {
    chat = await matrixStandIn();
  });
  afterAll(() => chat.close());

  const sinkWith = (options: Partial<MatrixOptions<never>> = {}) =>
    matrix({ homeserver: chat.url, accessToken: chat.token, roomId: matrixRoom, ...options });
  let n = 0;
  async function messageFor(fields: object, options?: Partial<MatrixOptions<never>>) {
    await deliverTo(sinkWith(options), eventWith({ event_id: `evt_${n++}`, ...fields }));
    return chat.messages.at(-1) as MatrixStandInMessage;
  }

  it('sends plain text that mentions nobody, and that clients notify of', async () => {
    const event = { ...sampleEvent('outbid'), timestamp: Date.now() / 1000 };
    await deliverTo(sinkWith(), event);
    const details = `type=outbid event_id=${event.event_id} severity=error`;
    expect(chat.messages.at(-1)).toEqual({
      msgtype: 'm.text',
      body: [event.subject, event.message, `https://cloud.vast.ai/instances/\n${details}`].join('\n\n'),
      'm.mentions': {},
    });
  });

  it.each(['@room', 'now @room!', '@alice:example.org', '<@room>'])('breaks %j for old servers', async (text) => {
    const { body } = await messageFor({ subject: text, message: text, notif_type: text });
    expect(body).not.toMatch(/@(?!\u200B)/);
    expect(body.replaceAll('\u200B', '')).toContain(text);
  });

  it('leaves e-mail addresses and links unchanged', async () => {
    const message = 'ops@a.example, https://cloud.vast.ai/x?y=1#z';
    expect((await messageFor({ message })).body).toContain(message);
  });

  it('makes one message of an event, and one more for a sink of another name or another event', async () => {
    const before = chat.messages.length;
    const event = eventWith({ event_id: 'evt_repeated' });
    for (const options of [{}, {}, { name: 'other' }, { name: 'other' }]) await deliverTo(sinkWith(options), event);
    expect(chat.messages).toHaveLength(before + 2);
    await deliverTo(sinkWith(), eventWith({ event_id: 'evt_repeated_2' }));
    expect(chat.messages).toHaveLength(before + 3);
  });

  it('makes transaction ids of letters and digits, whatever is in the event id', async () => {
    await messageFor({ event_id: 'évt/1 ?#\u0007' });
    expect(chat.requests.at(-1)?.url).toMatch(
      /^\/_matrix\/client\/v3\/rooms\/!636q39766251%3Aexample\.com\/send\/m\.room\.message\/[\da-f]{64}$/,
    );
  });

  it('cuts a message, so that all of it has 50,000 bytes of JSON', async () => {
    const bytes = ({ body }: MatrixStandInMessage) => Buffer.byteLength(JSON.stringify(body));
    const room = 50_000 - bytes(await messageFor({ event_id: 'evt_a', message: 'm' })) + 1;
    const fits = await messageFor({ event_id: 'evt_b', message: 'm'.repeat(room) });
    expect([bytes(fits), fits.body.includes('…')]).toEqual([50_000, false]);
    const cut = await messageFor({ event_id: 'evt_c', message: 'm'.repeat(room + 1) });
    expect([bytes(cut), cut.body.includes('m…\n\nhttps://')]).toEqual([50_000, true]);
  });

  it('takes a text or a content from format, which cannot mention anyone either', async () => {
    expect(await messageFor({}, { format: () => '@room' })).toEqual({
      msgtype: 'm.text',
      body: '@room',
      'm.mentions': {},
    });
    const mine = { msgtype: 'm.notice', body: 'b', format: 'org.matrix.custom.html', formatted_body: '<b>b</b>' };
    expect(await messageFor({}, { format: () => ({ ...mine, 'm.mentions': { room: true } }) })).toEqual({
      ...mine,
      'm.mentions': {},
    });
  });

  it.each([undefined, '', 7, '#ops:example.org', '@bot:example.org', 'ops', '!a b', `!${'a'.repeat(255)}`])(
    'refuses the room %j',
    (roomId) => {
      expect(() => sinkWith({ roomId: roomId as string })).toThrow(/roomId must be the room's id.*not an alias/);
    },
  );

  it('takes an id of a newer room, which has no server', () => {
    expect(() => sinkWith({ roomId: '!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM' })).not.toThrow();
  });

  it.each([
    'https://matrix.to/#/#ops:example.org',
    'https://app.element.io/#/room/!a:example.org',
    'https://example.org/_matrix/client/v3',
    'https://example.org/_matrix',
    'https://example.org/?access_token=x',
  ])('refuses the homeserver %j', (homeserver) => {
    expect(() => sinkWith({ homeserver })).toThrow('homeserver must be its address for clients');
  });
});
