/** What a chat's message says about the time of the event and how serious it is, and subjects that show nothing. */
import { describe, expect, it } from 'vitest';
import type { Sink } from '../../src/index.js';
import {
  type ChatOptions,
  type ChatParts,
  discord,
  googleChat,
  slack,
  slackWorkflow,
  teams,
} from '../../src/sinks/index.js';
import { deliverTo, eventWith } from './deliver.js';

const chats = { slack, slackWorkflow, googleChat, discord, teams };
type MakeChat = (url: string, options: ChatOptions<object, object>) => Sink<object>;

/** The message that a chat sends, as JSON without zero-width spaces. */
async function messageOf(makeSink: MakeChat, event: object, options: object = {}): Promise<string> {
  let sent = '';
  const fetch = async (_url: unknown, { body }: RequestInit = {}) => {
    sent = String(body).replaceAll('\u200B', '');
    return new Response('ok');
  };
  await deliverTo(makeSink('https://chat.example/hook', { fetch: fetch as never, ...options }), event);
  return sent;
}

const secondsAgo = (seconds: number) => Date.now() / 1000 - seconds;
const minuteOf = (seconds: number) => new Date(seconds * 1000).toISOString().slice(0, 16).replace('T', ' ');

describe.each(Object.entries(chats) as [string, MakeChat][])('%s', (name, makeSink) => {
  it.each([
    ['a minute', 60],
    ['three days', 259_200],
  ])('says when it happened if that is %s ago', async (_what, age) => {
    const timestamp = secondsAgo(age);
    const message = await messageOf(makeSink, eventWith({ timestamp }));
    if (name === 'discord') {
      expect(message).toContain(`"timestamp":"${new Date(timestamp * 1000).toISOString()}"`);
    } else {
      expect(message).toContain(`Happened at ${minuteOf(timestamp)} UTC`);
      const [subject, when, text] = ['Is Offline', 'Happened at', 'stopped responding'].map((part) =>
        message.indexOf(part),
      );
      expect([subject, when, text]).toEqual([subject, when, text].sort((a = 0, b = 0) => a - b));
    }
  });

  it.each([
    ['now', 0],
    ['seconds ago', 30],
    ['in the future', -600],
  ])('says no time if it happened %s', async (_what, age) => {
    expect(await messageOf(makeSink, eventWith({ timestamp: secondsAgo(age) }))).not.toContain('Happened');
  });

  it('says the time in a message of the longest text, too', async () => {
    const timestamp = secondsAgo(3_600);
    const message = await messageOf(makeSink, eventWith({ timestamp, message: 'm'.repeat(60_000) }));
    expect(message).toContain(name === 'discord' ? '"timestamp":' : minuteOf(timestamp));
  });

  it('says how serious it is', async () => {
    expect(await messageOf(makeSink, eventWith({}))).toContain('severity=error');
    expect(await messageOf(makeSink, eventWith({ notif_type: 'machine_offline' }))).toContain('severity=critical');
    expect(await messageOf(makeSink, eventWith({ notif_type: 'something new' }))).toContain('severity=info');
  });

  it('gives both to format', async () => {
    let parts: ChatParts | undefined;
    const timestamp = Date.UTC(2026, 0, 2, 3, 4, 5) / 1000;
    const format = (_event: object, given: ChatParts) => {
      parts = given;
      return 'mine';
    };
    await messageOf(makeSink, eventWith({ timestamp }), { format });
    expect(parts).toMatchObject({
      severity: 'error',
      when: '2026-01-02T03:04:05.000Z',
      happened: 'Happened at 2026-01-02 03:04 UTC',
    });
  });

  it.each([
    ['zero-width spaces', '\u200B\u200C\u200D\u2060'],
    ['a soft hyphen', '\u00AD'],
    ['a byte-order mark', '\uFEFF'],
    ['Hangul fillers', '\u3164\u115F\u1160\uFFA0'],
    ['a blank Braille pattern', '\u2800'],
    ['tags', '\u{E0001}\u{E0041}\u{E007F}'],
    ['variation selectors', '\uFE0F\u{E0100}'],
    ['marks of direction', '\u202E\u2066\u200F\u061C'],
    ['controls', '\u0000\u0007\u009B'],
    ['all of them and white space', ' \u3000\u200B\n\u00AD\u2800\u{E0041} '],
  ])('takes a subject of %s for none', async (_what, subject) => {
    let title = '';
    const format = (_event: object, parts: ChatParts) => {
      title = parts.subject;
      return 'mine';
    };
    await messageOf(makeSink, eventWith({ subject }), { format });
    expect(title).toContain('instance_offline');
    await messageOf(makeSink, eventWith({ subject, notif_type: subject }), { format });
    expect(title).toBe('Notification');
  });

  it.each(['👍🏽', 'e\u0301', 'a\u200Bb', '\u0600'])('leaves a subject that shows something: %j', async (subject) => {
    let title = '';
    const format = (_event: object, parts: ChatParts) => {
      title = parts.subject;
      return 'mine';
    };
    await messageOf(makeSink, eventWith({ subject }), { format });
    expect(title).toBe(subject);
  });

  it('shows the whole event where the message shows nothing', async () => {
    const message = await messageOf(makeSink, eventWith({ message: '\u200B\u2800' }));
    expect(message).toContain('event_id');
    expect(message).toContain('user_id');
  });
});
