import { describe, expect, it } from 'vitest';
import { chatMessages, chatTitles } from '../../../src/cli/dev/chat-messages.js';
import type { LoggedDelivery } from '../../../src/cli/dev/delivery-log.js';
import { sampleEvent } from '../../../src/testing/index.js';
import { deliveryOf } from './logged.js';

describe("what dev's page shows of a chat's message", () => {
  it('has the subject, the text, the link and the id, in every chat', async () => {
    const event = {
      ...sampleEvent('outbid'),
      subject: 'Outbid *now* <!channel> @everyone',
      message: 'Line `1`\nLine _2_',
    };
    const messages = await chatMessages(deliveryOf(JSON.stringify(event), { id: event.event_id }));
    expect(messages.map(({ chat, title }) => [chat, title])).toEqual(chatTitles);
    for (const { chat, parts } of messages) {
      const text = parts.map((part) => part.text).join('\n');
      // As people see it: nothing is escaped, and what breaks mentions does not show.
      for (const each of [event.subject, 'Line `1`\nLine _2_', 'https://cloud.vast.ai/'])
        expect(text, chat).toContain(each);
      if (chat !== 'pagerDuty' && chat !== 'pushover') expect(text, chat).toContain(event.event_id);
    }
  });

  it('shows no address, not even a made-up one', async () => {
    const messages = await chatMessages(deliveryOf(JSON.stringify(sampleEvent('outbid'))));
    for (const { json } of messages) expect(json).not.toMatch(/xxxx|chat\.example|"(routing_key|token|user|chat_id)"/);
  });

  it('is empty for what is no event', async () => {
    const none: [string, Partial<LoggedDelivery>][] = [
      ['', {}],
      ['nonsense', {}],
      ['[1]', {}],
      ['null', {}],
      ['e30=', { isBase64: true }],
      ['{}', { isCut: true }],
    ];
    for (const [body, changes] of none) expect(await chatMessages(deliveryOf(body, changes))).toEqual([]);
  });
});
