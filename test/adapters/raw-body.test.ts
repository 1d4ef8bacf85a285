import { AsyncLocalStorage } from 'node:async_hooks';
import { createServer } from 'node:http';
import { describe, expect, it, onTestFinished } from 'vitest';
import { keepRawBody, type Outcome, vastWebhook } from '../../src/index.js';
import {
  adapters,
  anEvent,
  bytesOf,
  Connection,
  chunk,
  expresses,
  head,
  headersWith,
  listen,
  nodeAdapters,
  type Setup,
  secret,
  serve,
  signed,
} from '../support/adapters.js';

const invalidUtf8 = Buffer.concat([
  Buffer.from('{"event_id":"bytes","message":"'),
  Buffer.of(0xff, 0xc3),
  Buffer.from('"}'),
]);
const byteOrderMark = Buffer.of(0xef, 0xbb, 0xbf);
const withByteOrderMark = Buffer.concat([byteOrderMark, Buffer.from('{"event_id":"marked"}')]);
/** Before the middleware, once: the promise of the rest, for frameworks that wait for it. */
const before =
  (step: (req: Parameters<NonNullable<Setup['around']>>[1]) => unknown): Setup['around'] =>
  async (next, req) => {
    await step(req);
    return next();
  };

/** Something in front that has the raw bytes, as Cloud Functions do. */
const keeping = (rawBody: Buffer): Setup['around'] => before((req) => void Object.assign(req, { rawBody }));

describe.each(adapters)('%s: the raw body', (_name, adapter) => {
  describe('read by the middleware', () => {
    it('is the signed bytes, and the delivery has it', async () => {
      const service = await serve(adapter);
      const message = signed();
      await service.send(message);
      expect(service.handled[0]?.vast?.delivery.rawBody).toEqual(message.body);
    });

    it('may come in chunks', async () => {
      const service = await serve(adapter);
      const { body, headers } = signed();
      const connection = await service.connect();
      connection.write(head('POST', service.endpoint, [...headers, ['Transfer-Encoding', 'chunked']]));
      for (let at = 0; at < body.length; at += 7) connection.write(chunk(body.subarray(at, at + 7)));
      connection.write('0\r\n\r\n');
      expect((await connection.answer()).status).toBe(204);
    });

    it('may come byte by byte', async () => {
      const service = await serve(adapter);
      const bytes = bytesOf({ target: service.endpoint, ...signed() });
      const connection = await service.connect();
      for (const byte of bytes) {
        connection.write(Buffer.of(byte));
        await new Promise(setImmediate);
      }
      expect((await connection.answer()).status).toBe(204);
    });

    it('may wait for “100 Continue”', async () => {
      const service = await serve(adapter);
      const { body, headers } = signed();
      const connection = await service.connect();
      const arrived = service.arrival();
      const expecting = headersWith(headers, { Expect: '100-continue', 'Content-Length': String(body.length) });
      connection.write(head('POST', service.endpoint, expecting));
      await arrived;
      connection.write(body);
      expect((await connection.answer()).status).toBe(204);
    });

    it('is separated from that of the next request on the connection', async () => {
      const service = await serve(adapter);
      const connection = await service.connect();
      const requests = [
        signed(),
        signed(anEvent(), { key: 'forged' }),
        signed(),
        { body: 'x'.repeat(9_000) },
        signed(),
      ];
      connection.write(Buffer.concat(requests.map((message) => bytesOf({ target: service.endpoint, ...message }))));
      const statuses: number[] = [];
      for (const _ of requests) statuses.push((await connection.answer()).status);
      expect(statuses).toEqual([204, 401, 204, 401, 204]);
    });

    it.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data', 'nonsense', undefined])(
      'is read whatever its type: %s',
      async (type) => {
        const service = await serve(adapter);
        const { body, headers } = signed();
        const answer = await service.send({ body, headers: headersWith(headers, { 'Content-Type': type }) });
        expect(answer.status).toBe(204);
      },
    );

    it('may begin with a byte-order mark, which is signed and not parsed', async () => {
      const service = await serve(adapter);
      expect((await service.send(signed(withByteOrderMark))).status).toBe(204);
      expect(service.handled[0]?.vast?.event).toEqual({ event_id: 'marked' });
      expect(service.handled[0]?.vast?.delivery.rawBody).toEqual(withByteOrderMark);
    });

    it('is verified as bytes, and only then decoded, leniently', async () => {
      const service = await serve(adapter);
      expect((await service.send(signed(invalidUtf8))).status).toBe(204);
      expect(service.handled[0]?.vast?.event).toEqual({ event_id: 'bytes', message: '\uFFFD\uFFFD' });
      expect(service.handled[0]?.vast?.delivery.rawBody).toEqual(invalidUtf8);
    });
  });

  describe('of a size', () => {
    const exactly = (size: number) => signed(`{"event_id":"e"${' '.repeat(size - 16)}}`);

    it.each([
      ['at the default limit', 65_536, undefined, 204],
      ['above the default limit', 65_537, undefined, 413],
      ['at a limit in bytes', 100, 100, 204],
      ['above a limit in bytes', 101, 100, 413],
      ['at a limit in text', 2048, '2kb', 204],
      ['above a limit in text', 2049, '2kb', 413],
    ])('%s', async (_, size, limit, status) => {
      const { body, headers } = exactly(size);
      expect(body).toHaveLength(size);
      const service = await serve(adapter, { options: { limit } });
      expect((await service.send({ body, headers })).status).toBe(status);

      const inChunks = await service.connect();
      inChunks.write(head('POST', service.endpoint, [...headers, ['Transfer-Encoding', 'chunked']]));
      inChunks.write(chunk(body));
      inChunks.write('0\r\n\r\n');
      expect((await inChunks.answer()).status).toBe(status);
    });
  });
});

describe.each(adapters)('%s: the raw body', (_name, adapter) => {
  describe('that is not to be had: the outcome says why', () => {
    const open = async (options: Setup['options'], sent: string) => {
      const service = await serve(adapter, { options });
      const connection = await service.connect();
      const arrived = service.arrival();
      connection.write(head('POST', service.endpoint, [...signed().headers, ['Content-Length', '100']]));
      connection.write(sent);
      await arrived;
      return { service, connection };
    };

    it('too large', async () => {
      const { service } = await open({ limit: 99 }, 'x'.repeat(100));
      expect((await service.outcome()).error?.message).toBe('the body is larger than the limit of 99 bytes');
    });

    it('late', async () => {
      const { service } = await open({ bodyTimeoutMs: 30 }, 'x');
      expect((await service.outcome()).error?.message).toBe('the body did not arrive within 30 ms');
    });

    it('cut off', async () => {
      const { service, connection } = await open({}, 'x');
      connection.destroy();
      expect((await service.outcome()).error?.message).toBe('the sender hung up before the body was there');
    });
  });
});

describe.each(nodeAdapters)('%s: the raw body', (_name, adapter) => {
  describe('left by others on the request', () => {
    it('is req.rawBody first, whatever is in the stream', async () => {
      const { body, headers } = signed();
      const around = keeping(body);
      const service = await serve(adapter, { around });
      expect((await service.send({ headers, body: 'not what was signed' })).status).toBe(204);
      expect(service.handled[0]?.vast?.delivery.rawBody).toEqual(body);
    });

    const raw = Object.entries(adapter.parsers).flatMap(([parser, { leaves }]) => (leaves === 'bytes' ? [parser] : []));
    it.each(raw)('is req.rawBody rather than the bytes of %s', async (parserBefore) => {
      const { body, headers } = signed();
      const service = await serve(adapter, { around: keeping(body), parserBefore });
      expect((await service.send({ headers, body: 'not what was signed' })).status).toBe(204);
    });

    it('is not trusted for being there', async () => {
      const { body, headers } = signed();
      const around = keeping(Buffer.from('{"event_id":"another"}'));
      const service = await serve(adapter, { around });
      expect((await service.send({ headers, body })).status).toBe(401);
    });

    it('must keep to the limit', async () => {
      const { body, headers } = signed();
      const around = keeping(body);
      const service = await serve(adapter, { around, options: { limit: body.length - 1 } });
      expect((await service.send({ headers, body: '' })).status).toBe(413);
      const wider = await serve(adapter, { around, options: { limit: body.length } });
      expect((await wider.send({ headers, body: '' })).status).toBe(204);
    });
  });
});

describe.each(adapters)('%s: the raw body', (_name, adapter) => {
  describe('eaten by a parser in front', () => {
    const parsers = Object.entries(adapter.parsers).map(([parser, { leaves }]) => [parser, leaves] as const);
    const losing = parsers.filter(([, leaves]) => leaves === 'nothing');
    const leaving = parsers.filter(([, leaves]) => leaves !== 'nothing');

    it.each(losing)('%s: answers 500 at once, and says which line to change', async (parserBefore) => {
      const service = await serve(adapter, { parserBefore });
      const answer = await service.send(signed());
      expect(answer).toMatchObject({ status: 500, body: '{"ok":false,"error":"raw_body_unavailable"}' });
      expect(await service.outcome()).toMatchObject({
        result: 'failed',
        code: 'raw_body_unavailable',
        permanent: false,
      });
      expect((await service.outcome()).error?.message).toContain(adapter.advice);
      expect(service.handled).toHaveLength(0);
    });

    it.each(losing)('%s: still refuses what is malformed, stale or unsigned', async (parserBefore) => {
      const service = await serve(adapter, { parserBefore });
      expect((await service.send({ body: '{}', headers: [['Content-Type', 'application/json']] })).status).toBe(401);
      expect((await service.send(signed(anEvent(), { timestamp: 1 }))).status).toBe(401);
    });

    it.each(leaving)('%s leaves %s: takes the delivery', async (parserBefore) => {
      const service = await serve(adapter, { parserBefore });
      const message = signed();
      expect((await service.send(message)).status).toBe(204);
      expect(service.handled[0]?.vast?.delivery.rawBody).toEqual(message.body);
    });

    it.each(leaving)('%s leaves %s: refuses a forged one', async (parserBefore) => {
      const service = await serve(adapter, { parserBefore });
      expect((await service.send(signed(anEvent(), { key: 'forged' }))).status).toBe(401);
      expect(await service.outcome()).toMatchObject({ reason: 'signature_mismatch' });
    });

    it.each(leaving)('%s leaves %s: holds it to the limit', async (parserBefore) => {
      const { body, headers } = signed();
      const service = await serve(adapter, { parserBefore, options: { limit: body.length - 1 } });
      const connection = await service.connect();
      connection.write(head('POST', service.endpoint, [...headers, ['Transfer-Encoding', 'chunked']]));
      connection.write(Buffer.concat([chunk(body), Buffer.from('0\r\n\r\n')]));
      expect((await connection.answer()).status).toBe(413);
    });

    it.each(parsers)('%s: reads for itself what the parser did not look at', async (parserBefore) => {
      const { body, headers } = signed();
      const service = await serve(adapter, { parserBefore });
      const unknown = headersWith(headers, { 'Content-Type': undefined });
      expect((await service.send({ body, headers: unknown })).status).toBe(204);
    });

    const decoding = parsers.filter(([, leaves]) => leaves === 'text');

    it.each(decoding)(
      '%s: a body whose bytes the decoding has destroyed is retried, not refused',
      async (parserBefore) => {
        const service = await serve(adapter, { parserBefore });
        const answer = await service.send(signed(invalidUtf8));
        expect(answer).toMatchObject({ status: 500, body: '{"ok":false,"error":"raw_body_unavailable"}' });
        expect(service.handled).toHaveLength(0);
      },
    );

    it.each(decoding)('%s: a replacement character that was sent as such verifies', async (parserBefore) => {
      const service = await serve(adapter, { parserBefore });
      expect((await service.send(signed(anEvent({ message: 'a \uFFFD' })))).status).toBe(204);
    });

    it.each(decoding)('%s: a byte-order mark that the decoding dropped verifies', async (parserBefore) => {
      const service = await serve(adapter, { parserBefore });
      expect((await service.send(signed(withByteOrderMark))).status).toBe(204);
      expect(service.handled[0]?.vast).toMatchObject({
        event: { event_id: 'marked' },
        delivery: { rawBody: withByteOrderMark },
      });
    });

    it.each(decoding)('%s: bytes that somebody has kept go before its text', async (parserBefore) => {
      const around = keeping(invalidUtf8);
      const service = await serve(adapter, { around, parserBefore });
      expect((await service.send(signed(invalidUtf8))).status).toBe(204);
      expect(service.handled[0]?.vast?.delivery.rawBody).toEqual(invalidUtf8);
    });
  });
});

describe.each(nodeAdapters)('%s: the raw body', (_name, adapter) => {
  describe('touched by others', () => {
    it('answers 500 at once when earlier middleware read a part and paused', async () => {
      const around: Setup['around'] = (next, req) =>
        new Promise((resolve) => {
          req.once('data', () => {
            req.pause();
            resolve(next());
          });
        });
      const service = await serve(adapter, { around });
      const { body, headers } = signed();
      const connection = await service.connect();
      connection.write(head('POST', service.endpoint, [...headers, ['Content-Length', String(body.length)]]));
      connection.write(body.subarray(0, 20));
      expect((await connection.answer()).status).toBe(500);
      expect(await service.outcome()).toMatchObject({ code: 'raw_body_unavailable' });
    });

    it('answers 500 at once when earlier middleware read all of it', async () => {
      const around = before(async (req) => {
        for await (const _ of req);
      });
      const service = await serve(adapter, { around });
      expect((await service.send(signed())).status).toBe(500);
      expect(await service.outcome()).toMatchObject({ code: 'raw_body_unavailable' });
    });

    it('answers 500 when earlier middleware set an encoding', async () => {
      const service = await serve(adapter, { around: before((req) => void req.setEncoding('utf8')) });
      expect((await service.send(signed())).status).toBe(500);
      expect(await service.outcome()).toMatchObject({ code: 'raw_body_unavailable' });
    });

    it('answers 500 when the stream fails by itself, which is not the sender’s doing', async () => {
      const around = before((req) => void setImmediate(() => req.emit('error', new Error('no more memory'))));
      const service = await serve(adapter, { around });
      const { body, headers } = signed();
      const connection = await service.connect();
      connection.write(head('POST', service.endpoint, [...headers, ['Content-Length', String(body.length)]]));
      expect((await connection.answer()).status).toBe(500);
      expect(await service.outcome()).toMatchObject({
        code: 'internal',
        error: { message: 'the body could not be read: no more memory', cause: { message: 'no more memory' } },
      });
    });

    it('reads it when earlier middleware paused it before reading a byte', async () => {
      const service = await serve(adapter, { around: before((req) => void req.pause()) });
      expect((await service.send(signed())).status).toBe(204);
    });

    it('loses no bytes that arrive while earlier middleware is slow', async () => {
      const service = await serve(adapter, { around: before(() => new Promise(setImmediate)) });
      expect((await service.send(signed())).status).toBe(204);
    });
  });

  describe('of a sender that hangs up', () => {
    it.each([
      ['amid the body', -10],
      ['with the whole body sent', undefined],
    ])('while somebody in front takes time, %s: aborted, and nothing else is blamed', async (_, end) => {
      let goOn = () => {};
      const around = before((req) => {
        // Not read by anybody, a request whose sender is gone is closed.
        req.on('close', () => goOn());
        return new Promise<void>((resolve) => {
          goOn = resolve;
        });
      });
      const service = await serve(adapter, { around });
      const arrived = service.arrival();
      const connection = await service.connect();
      connection.write(bytesOf({ target: service.endpoint, ...signed() }).subarray(0, end));
      await arrived;
      connection.destroy();
      expect(await service.outcome()).toMatchObject({ result: 'failed', code: 'aborted', status: 0, permanent: false });
      expect(service.handled).toHaveLength(0);
      expect(service.outcomes).toHaveLength(1);
    });

    it('lets the middleware in front go on', async () => {
      let goneOn = () => {};
      const over = new Promise<void>((resolve) => {
        goneOn = resolve;
      });
      const around: Setup['around'] = async (next) => {
        await next();
        goneOn();
      };
      const service = await serve(adapter, { around });
      const arrived = service.arrival();
      const connection = await service.connect();
      connection.write(bytesOf({ target: service.endpoint, ...signed() }).subarray(0, -10));
      await arrived;
      connection.destroy();
      expect(await service.outcome()).toMatchObject({ code: 'aborted' });
      await over;
    });
  });
});

describe.each(adapters)('%s: the raw body', (_name, adapter) => {
  describe('and parsers behind the middleware', () => {
    const careful = Object.keys(adapter.parsers).filter((parser) => !adapter.parsers[parser]?.insists);
    const insisting = Object.keys(adapter.parsers).filter((parser) => adapter.parsers[parser]?.insists);

    it.each(careful)('leaves the event in place of the body: %s', async (parserBehind) => {
      const service = await serve(adapter, { parserBehind });
      const event = anEvent();
      expect((await service.send(signed(event))).status).toBe(204);
      expect(service.handled[0]?.body).toEqual(event);
      expect(service.handled[0]?.body).toBe(service.handled[0]?.vast?.event);
    });

    it.each(adapter.takes === 'node' ? careful : [])(
      'leaves it also when others had kept the bytes: %s',
      async (parserBehind) => {
        const { body, headers } = signed();
        const around = keeping(body);
        const service = await serve(adapter, { around, parserBehind });
        expect((await service.send({ headers, body: '{"event_id":"unsigned"}' })).status).toBe(204);
        expect(service.handled[0]?.body).toBe(service.handled[0]?.vast?.event);
      },
    );

    it.each(insisting)('fails, and loses nothing, with one that reads whatever is there: %s', async (parserBehind) => {
      const service = await serve(adapter, { parserBehind });
      expect((await service.send(signed())).status).toBe(500);
      expect(await service.outcome()).toMatchObject({ code: 'handler_failed', permanent: false });
    });

    it('keeps the asynchronous context up to the handler', async () => {
      const context = new AsyncLocalStorage<string>();
      const seen: unknown[] = [];
      const service = await serve(adapter, {
        around: (next) => context.run('of the request', next),
        handler() {
          seen.push(context.getStore());
          return 204;
        },
      });
      const connection = await service.connect();
      const bytes = bytesOf({ target: service.endpoint, ...signed() });
      const arrived = service.arrival();
      connection.write(bytes.subarray(0, -10));
      await arrived;
      connection.write(bytes.subarray(-10));
      await connection.answer();
      expect(seen).toEqual(['of the request']);
    });
  });
});

describe.each(Object.entries(expresses))('%s: keepRawBody', (_version, express) => {
  async function serveParsed(parser: ReturnType<typeof express.json>) {
    const outcomes: Outcome[] = [];
    const bodies: unknown[] = [];
    const app = express().set('env', 'test');
    app.use(parser);
    app.use(vastWebhook(secret, { now: () => 1_800_000_000_000, onOutcome: (outcome) => outcomes.push(outcome) }));
    app.post('/vast/webhooks', (req, res) => {
      bodies.push(req.body);
      res.sendStatus(204);
    });
    const server = createServer(app);
    const port = await listen(server);
    onTestFinished(() => void server.close());
    const send = async (message: Parameters<typeof bytesOf>[0]) => {
      const connection = await Connection.open(port);
      connection.write(bytesOf({ target: '/vast/webhooks', ...message }));
      const answer = await connection.answer();
      connection.destroy();
      return answer;
    };
    return { outcomes, bodies, send };
  }

  it('lets express.json() stand in front', async () => {
    const { bodies, send } = await serveParsed(express.json({ verify: keepRawBody }));
    const event = anEvent({ message: 'Your GPU — now available' });
    expect((await send(signed(`  ${JSON.stringify(event, null, 2)}\r\n`))).status).toBe(204);
    expect(bodies).toEqual([event]);
  });

  it('keeps the bytes, not a text', async () => {
    const { send } = await serveParsed(express.json({ verify: keepRawBody }));
    expect((await send(signed(invalidUtf8))).status).toBe(204);
  });

  it('does not make a forged delivery genuine', async () => {
    const { outcomes, send } = await serveParsed(express.json({ verify: keepRawBody }));
    expect((await send(signed(anEvent(), { key: 'forged' }))).status).toBe(401);
    expect(outcomes).toMatchObject([{ reason: 'signature_mismatch' }]);
  });

  it('must keep to the limit', async () => {
    const { send } = await serveParsed(express.json({ verify: keepRawBody, limit: '1mb' }));
    const { body, headers } = signed(anEvent({ message: 'x'.repeat(70_000) }));
    expect((await send({ body, headers })).status).toBe(413);
  });
});
