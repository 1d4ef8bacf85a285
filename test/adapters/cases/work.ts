import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { digest, slack } from '../../../src/sinks/index.js';
import type { ChatStandIn, SlackStandInMessage } from '../../support/chat-stand-in.js';
import { type Answer, anEvent, bytesOf, chunk, head, headersWith, signed } from '../../support/requests.js';
import { type Case, type CaseService, event, failed, genuine, good, onConnection, retryAfter } from './case.js';

const acceptedBySlack: Case['outcome'] = {
  result: 'accepted',
  status: 204,
  permanent: false,
  ...genuine,
  sinks: { slack: 'delivered' },
};
const duplicate: Case['outcome'] = { result: 'duplicate', status: 204, permanent: false, ...genuine };

/** Holds the chat's answer until it is called. */
function hold(chat: ChatStandIn<SlackStandInMessage>): () => void {
  const held: (() => void)[] = [];
  chat.misbehave = (res) => held.push(() => res.end('ok'));
  return () => {
    chat.misbehave = undefined;
    for (const answer of held) answer();
  };
}

/** Sends the event again while another delivery of it is being processed, or while the store is late. */
async function sendUntilSettled(service: CaseService): Promise<Answer> {
  for (;;) {
    const answer = await service.send(good());
    if (answer.status !== 503) return answer;
    await sleep(5);
  }
}

/** How bodies arrive, and what becomes of work that is slow, fails, hangs or outlives the answer. */
export const work: Readonly<Record<string, Case>> = {
  'accepted: in chunks': {
    send: async (service) => {
      const { body, headers } = good();
      const chunked = headersWith(headers, { 'Transfer-Encoding': 'chunked' });
      const connection = await onConnection(service, head('POST', service.endpoint, chunked));
      for (let from = 0; from < body.length; from += 20) connection.write(chunk(body.subarray(from, from + 20)));
      connection.write('0\r\n\r\n');
      return connection.answer();
    },
    answer: { status: 204 },
    outcome: { result: 'accepted', status: 204, permanent: false, ...genuine },
    handled: 1,
  },
  'accepted: byte by byte': {
    send: async (service) => {
      const connection = await onConnection(service);
      for (const byte of bytesOf({ target: service.endpoint, ...good() })) {
        connection.write(Buffer.of(byte));
        await new Promise(setImmediate);
      }
      return connection.answer();
    },
    answer: { status: 204 },
    outcome: { result: 'accepted', status: 204, permanent: false, ...genuine },
    handled: 1,
  },
  'accepted: on the connection of two refusals': {
    send: async (service) => {
      const stale = signed(event, { timestamp: 1 });
      const refused = [signed(event, { key: 'forged' }), stale].map((message) =>
        bytesOf({ target: service.endpoint, ...message }),
      );
      const connection = await onConnection(service);
      for (const bytes of refused) {
        connection.write(bytes);
        expect((await connection.answer()).status).toBe(401);
      }
      connection.write(bytesOf({ target: service.endpoint, ...good() }));
      return connection.answer();
    },
    answer: { status: 204 },
    outcome: { result: 'accepted', status: 204, permanent: false, ...genuine },
    outcomes: 3,
    handled: 1,
  },
  'accepted by a chat': {
    setup: (chatUrl) => ({ options: { sinks: [slack(chatUrl)] } }),
    send: async (service, chat) => {
      const answer = await service.send(good());
      expect(chat.messages).toHaveLength(1);
      return answer;
    },
    answer: { status: 204 },
    outcome: acceptedBySlack,
  },
  'sink_failed: a chat that is down, and takes the retry': {
    setup: (chatUrl) => ({ options: { sinks: [slack(chatUrl)] } }),
    send: async (service, chat) => {
      chat.misbehave = (res) => res.writeHead(500).end();
      const answer = await service.send(good());
      expect([answer.status, JSON.parse(answer.body).sinks]).toEqual([502, { slack: 500 }]);
      chat.misbehave = undefined;
      return service.send(good());
    },
    answer: { status: 204 },
    outcome: acceptedBySlack,
    outcomes: 2,
  },
  'sink_failed: a chat that hangs': {
    setup: (chatUrl) => ({ options: { sinks: [slack(chatUrl, { timeoutMs: 50 })] } }),
    send: async (service, chat) => {
      hold(chat);
      return service.send(good());
    },
    answer: { status: 502, error: 'sink_failed', sinks: { slack: 'error' } },
    outcome: failed('sink_failed', { ...genuine, sinks: { slack: expect.any(Error) } }),
  },
  'deadline_exceeded: a chat that outlives the answer has the event once': {
    setup: (chatUrl) => ({ options: { deadlineMs: 50, sinks: [slack(chatUrl)] } }),
    send: async (service, chat) => {
      const answerNow = hold(chat);
      const asked = chat.nextRequest();
      // Not settled before the chat has been asked, however late the store answers the claim.
      expect((await sendUntilSettled(service)).status).toBe(504);
      await asked;
      answerNow();
      const answer = await sendUntilSettled(service);
      expect(chat.requests).toHaveLength(1);
      return answer;
    },
    answer: { status: 204 },
    outcome: duplicate,
    outcomes: 'some',
  },
  'duplicate: of a delivery whose sender hung up while a chat was at work': {
    setup: (chatUrl) => ({ options: { sinks: [slack(chatUrl)] } }),
    send: async (service, chat) => {
      const answerNow = hold(chat);
      const asked = chat.nextRequest();
      const connection = await onConnection(service, bytesOf({ target: service.endpoint, ...good() }));
      await asked;
      connection.destroy();
      answerNow();
      const answer = await sendUntilSettled(service);
      expect(chat.requests).toHaveLength(1);
      return answer;
    },
    answer: { status: 204 },
    outcome: duplicate,
    outcomes: 'some',
  },
  'a digest has every event that was answered before it': {
    setup: (chatUrl) => ({ options: { deadlineMs: 1000, sinks: [digest({ everyMs: 500 }, slack(chatUrl))] } }),
    send: async (service, chat) => {
      const subjects = ['The first one', 'The second one', 'The third one'];
      let answer: Answer | undefined;
      for (const subject of subjects) answer = await service.send(signed(anEvent({ subject })));
      await expect
        .poll(() => subjects.filter((subject) => JSON.stringify(chat.messages).includes(subject)))
        .toEqual(subjects);
      return answer;
    },
    answer: { status: 204 },
    outcome: { ...acceptedBySlack, id: expect.any(String) },
    outcomes: 3,
  },
  'closing: close() waits for a chat that is at work, whose delivery is accepted': {
    setup: (chatUrl) => ({ options: { sinks: [slack(chatUrl)] } }),
    send: async (service, chat) => {
      const answerNow = hold(chat);
      const asked = chat.nextRequest();
      const connection = await onConnection(service, bytesOf({ target: service.endpoint, ...good() }));
      await asked;
      const closed = service.hook.close();
      answerNow();
      expect((await connection.answer()).status).toBe(204);
      await closed;
      return service.send(good());
    },
    answer: { status: 503, error: 'closing', headers: retryAfter },
    outcome: failed('closing'),
    outcomes: 2,
  },
};
