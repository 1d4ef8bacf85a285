import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type VastType, vastTypes } from '../../src/index.js';
import { type AppriseOptions, apprise } from '../../src/sinks/index.js';
import { sampleEvent } from '../../src/testing/index.js';
import { type AppriseStandInMessage, appriseStandIn } from '../support/apprise-stand-in.js';
import type { ChatStandIn } from '../support/chat-stand-in.js';
import { deliverTo, eventWith, failureOf } from './deliver.js';
import { describeService } from './service-cases.js';

describeService({
  name: 'apprise',
  service: 'Apprise',
  standIn: appriseStandIn,
  success: { error: null, details: [] },
  sink: ({ url }, options) => apprise<object>(url, options),
  limited: [{ error: 'The server is temporarily unable to start a new live notification stream' }, undefined],
  refusals: [{ error: 'The payload is wrong', details: [] }],
  odd: { 204: true, 424: false },
});

describe('apprise', () => {
  let chat: ChatStandIn<AppriseStandInMessage>;
  beforeAll(async () => {
    chat = await appriseStandIn();
  });
  afterAll(() => chat.close());

  async function messageFor(event: object, options?: AppriseOptions<never>) {
    await deliverTo(apprise(chat.url, options), event);
    return chat.messages.at(-1) as AppriseStandInMessage;
  }

  const types = { info: 'info', warning: 'warning', error: 'failure', critical: 'failure' };

  it.each(Object.keys(vastTypes) as VastType[])('sends %s as text, with a type by severity', async (type) => {
    const event = { ...sampleEvent(type), timestamp: Date.now() / 1000 };
    const { severity, link } = vastTypes[type];
    expect(await messageFor(event)).toEqual({
      title: event.subject,
      body: `${event.message}\n\nhttps://cloud.vast.ai${link}\ntype=${type} event_id=${event.event_id} severity=${severity}`,
      type: types[severity],
      format: 'text',
    });
  });

  it.each(['@everyone', '@ops', '<@123>', '<!channel>', '<users/all>', '(@here)'])(
    'breaks %j, because the services behind it are not known',
    async (text) => {
      const { title, body } = await messageFor(eventWith({ subject: text, message: text, notif_type: text }));
      for (const part of [title, body]) {
        expect(part).not.toMatch(/[@<](?!\u200B)/);
        expect(part.replaceAll('\u200B', '')).toContain(text);
      }
    },
  );

  it('notifies the services of a tag', async () => {
    expect(await messageFor(eventWith({}), { tag: 'ops' })).toMatchObject({ tag: 'ops' });
    expect(() => apprise(chat.url, { tag: 7 as never })).toThrow('tag');
  });

  it('has failed for good where nothing is configured, though that is a 204', async () => {
    const url = chat.url.replace(/\/notify\/.*/, '/notify/empty');
    expect(await failureOf(deliverTo(apprise(url)))).toMatchObject({
      message: 'Apprise answered 204',
      status: 204,
      permanent: true,
    });
  });

  it('has failed for a retry where a service has failed', async () => {
    const error = await failureOf(deliverTo(apprise(chat.url, { tag: 'broken' })));
    expect(error).toMatchObject({ status: 424, permanent: false });
  });

  it.each([
    [250, 's'.repeat(250)],
    [251, `${'s'.repeat(249)}…`],
  ])('cuts a subject of %i characters', async (length, title) => {
    expect((await messageFor(eventWith({ subject: 's'.repeat(length) }))).title).toBe(title);
  });

  it('cuts a message, so that all of it has 30,000 characters', async () => {
    const room = 30_000 - (await messageFor(eventWith({ message: 'm' }))).body.length + 1;
    const { body: fits } = await messageFor(eventWith({ message: 'm'.repeat(room) }));
    expect([fits.length, fits.includes('…')]).toEqual([30_000, false]);
    const { body: cut } = await messageFor(eventWith({ message: 'm'.repeat(room + 1) }));
    expect([cut.length, cut.includes('m…\n\nhttps://')]).toEqual([30_000, true]);
  });

  it('takes a text or a message from format, but no address, tag or file', async () => {
    expect(await messageFor(eventWith({}), { format: () => 'a text' })).toEqual({
      title: '',
      body: 'a text',
      type: 'failure',
      format: 'text',
    });
    const mine = { title: 't', body: '**b**', type: 'success', format: 'markdown' };
    const more = { tag: 'all', urls: 'mailto://x', attach: 'file:///etc/passwd' };
    expect(await messageFor(eventWith({}), { tag: 'ops', format: () => ({ ...mine, ...more }) })).toEqual({
      ...mine,
      tag: 'ops',
    });
  });

  it.each([
    'https://apprise.example/',
    'https://apprise.example/notify',
    'https://apprise.example/notify/',
    'https://apprise.example/cfg/key',
  ])('refuses the address %j', (url) => {
    expect(() => apprise(url)).toThrow('must end with /notify/ and the key');
  });

  it.each(['https://apprise.example/notify/ops', 'https://example.org/apprise/notify/a-b_c/'])(
    'takes the address %j',
    (url) => {
      expect(() => apprise(url)).not.toThrow();
    },
  );
});
