import { describe, expect, it } from 'vitest';
import { adapters, bytesOf, chunk, head, headersWith, nodeAdapters, serve, signed } from '../support/adapters.js';

const large = Buffer.alloc(300_000, 32);

describe.each(nodeAdapters)('%s: a connection', (_name, adapter) => {
  it.each([
    ['an unsigned one', 'POST'],
    ['one by another method', 'PUT'],
  ])('serves the next delivery behind the whole body of %s that was refused unread', async (_, method) => {
    const service = await serve(adapter);
    const connection = await service.connect();
    connection.write(bytesOf({ method, target: service.endpoint, body: large }));
    expect((await connection.answer(method)).status).toBeGreaterThanOrEqual(401);
    connection.write(head(method, service.endpoint, [['Transfer-Encoding', 'chunked']]));
    connection.write(Buffer.concat([chunk(large), Buffer.from('0\r\n\r\n')]));
    expect((await connection.answer(method)).status).toBeGreaterThanOrEqual(401);
    connection.write(bytesOf({ target: service.endpoint, ...signed() }));
    expect((await connection.answer()).status).toBe(204);
    expect(service.outcomes.map(({ result }) => result)).toEqual(['rejected', 'rejected', 'accepted']);
  });
});

describe.each(adapters)('%s: a connection', (_name, adapter) => {
  it('brings as many outcomes and answers, in order, as deliveries that were sent in one go', async () => {
    const service = await serve(adapter, { handler: () => new Promise((resolve) => setTimeout(resolve, 5, 204)) });
    const forged = () => signed(undefined, { key: 'forged' });
    const messages = Array.from({ length: 30 }, (_, i) => (i % 3 === 1 ? forged() : signed()));
    const connection = await service.connect();
    connection.write(Buffer.concat(messages.map((message) => bytesOf({ target: service.endpoint, ...message }))));
    const statuses = [];
    for (const _ of messages) statuses.push((await connection.answer()).status);
    expect(statuses).toEqual(messages.map((_, i) => (i % 3 === 1 ? 401 : 204)));
    expect(connection.unread).toBe('');
    await service.outcome(messages.length);
    expect(service.outcomes).toHaveLength(messages.length);
    expect(service.handled).toHaveLength(20);
  });
});

describe.each(adapters)('%s: a delivery', (_name, adapter) => {
  it.each([
    ['whole', 0, 'garbage'],
    ['broken off', -10, undefined],
    ['in chunks that are none', 0, undefined],
  ])(
    'that is %s when its connection breaks has its outcome at once, and not when its time is over',
    async (how, end, garbage) => {
      const service = await serve(adapter, { options: { bodyTimeoutMs: 60_000, deadlineMs: 60_000 } });
      const { body, headers } = signed();
      const connection = await service.connect();
      if (how.startsWith('in chunks')) {
        connection.write(head('POST', service.endpoint, [...headers, ['Transfer-Encoding', 'chunked']]));
        connection.write('nonsense\r\n');
      } else {
        const bytes = bytesOf({ target: service.endpoint, headers, body });
        connection.write(Buffer.concat([bytes.subarray(0, end || bytes.length), Buffer.from(garbage ?? '')]));
      }
      if (how === 'broken off') {
        await service.arrival();
        connection.destroy();
      }
      await service.outcome();
      expect(service.outcomes).toHaveLength(1);
      await service.hook.close();
    },
  );
});

describe.each(nodeAdapters)('%s: a sender', (_name, adapter) => {
  it('that never ends a body is answered in time if earlier middleware has all of it', async () => {
    const { body, headers } = signed();
    const service = await serve(adapter, {
      options: { bodyTimeoutMs: 100 },
      around: (next, req) => {
        Object.assign(req, { rawBody: body });
        return next();
      },
    });
    const endless = headersWith(headers, { 'Content-Length': String(body.length + 1) });
    const connection = await service.connect();
    connection.write(Buffer.concat([head('POST', service.endpoint, endless), body]));
    expect((await connection.answer()).status).toBe(204);
    expect(service.outcomes).toHaveLength(1);
  });
});
