import { createServer } from 'node:http';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { vastWebhook } from '../../src/index.js';
import type { WebhookOptions } from '../../src/options.js';
import { anEvent, bytesOf, Connection, listen, type Message, nowMs, secret, signed } from '../support/adapters.js';

/** A service without `onOutcome` and `onError`, whose output is captured. */
async function quietly(options: WebhookOptions, handlerStatus = 204) {
  const real = performance.now.bind(performance);
  let ahead = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => real() + ahead);
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
  const error = vi.spyOn(console, 'error').mockImplementation(() => {});
  const hook = vastWebhook(secret, { now: () => nowMs, ...options });
  const server = createServer((req, res) =>
    hook(req, res, () => {
      res.statusCode = handlerStatus;
      res.end();
    }),
  );
  const port = await listen(server);
  onTestFinished(() => {
    for (const spy of [clock, warn, error]) spy.mockRestore();
    server.close();
  });
  const send = async (message: Message) => {
    const connection = await Connection.open(port);
    connection.write(bytesOf({ target: '/vast/webhooks', ...message }));
    const answer = await connection.answer();
    connection.destroy();
    return answer;
  };
  const lines = (spy: typeof warn) => spy.mock.calls.map(([line]) => String(line));
  return {
    send,
    warned: () => lines(warn),
    failed: () => lines(error),
    pass(ms: number) {
      ahead += ms;
    },
  };
}

describe('the output without onOutcome and onError', () => {
  it('is empty for accepted deliveries', async () => {
    const { send, warned, failed } = await quietly({});
    const message = signed();
    await send(message);
    await send(message);
    expect([warned(), failed()]).toEqual([[], []]);
  });

  it('is a warning for rejections, at most a line of a kind in 10 s, with how many were left out', async () => {
    const { send, warned, failed, pass } = await quietly({});
    for (let n = 0; n < 3; n++) await send({});
    pass(9_000);
    await send({});
    expect(warned()).toHaveLength(1);
    expect(warned()[0]).toMatch(/rejected 401 invalid_signature \(missing_signature\)/);
    pass(1_000);
    await send({});
    expect(warned()).toHaveLength(2);
    expect(warned()[1]).toMatch(/missing_signature.*\(3 more/);
    pass(10_000);
    await send({});
    expect(warned()[2]).not.toMatch(/more/);
    expect(failed()).toEqual([]);
  });

  it('shows why genuine deliveries are refused beside a scanner', async () => {
    const { send, warned } = await quietly({});
    await send({});
    await send(signed('{'));
    await send({ headers: [['X-Vast-Signature-256', 'x']] });
    expect(warned()).toHaveLength(3);
    expect(warned()[1]).toMatch(/rejected 400 invalid_json/);
    expect(warned()[2]).toMatch(/rejected 401 invalid_signature \((?!missing_signature)/);
  });

  it('is an error for every failure of a genuine delivery, with its id and type', async () => {
    const { send, warned, failed } = await quietly({}, 500);
    await send(signed(anEvent({ event_id: 'first' })));
    await send(signed(anEvent({ event_id: 'second' })));
    expect(failed()).toHaveLength(2);
    expect(failed()[0]).toMatch(/failed 500 handler_failed event="first" type="outbid"/);
    expect(failed()[1]).toContain('"second"');
    expect(warned()).toEqual([]);
  });

  it('says it when the event is lost', async () => {
    const { send, failed } = await quietly({}, 404);
    await send(signed());
    expect(failed()[0]).toMatch(/lost/);
  });

  it('stays one line, whatever the sender writes', async () => {
    const { send, failed } = await quietly({}, 500);
    await send(signed(anEvent({ event_id: 'a\u2028b', notif_type: 'x\nvast-webhook: accepted\u001b[31m' })));
    expect(failed()).toHaveLength(1);
    expect(failed()[0]).toMatch(/^\P{Cc}+$/u);
  });

  it('contains neither the body nor the secret', async () => {
    const { send, warned, failed } = await quietly({}, 500);
    await send(signed(anEvent({ message: 'confidential' })));
    await send(signed(anEvent({ message: 'confidential' }), { key: 'forged' }));
    const printed = [...warned(), ...failed()].join();
    expect(printed).not.toMatch(/confidential/);
    expect(printed).not.toContain(secret);
  });

  it('is an error for a sink that fails after the answer', async () => {
    let fail = () => {};
    const { send, failed } = await quietly({
      deadlineMs: 30,
      sinks: [
        function slow() {
          return new Promise((_, reject) => {
            fail = () => reject(new Error('too late'));
          });
        },
      ],
    });
    expect((await send(signed())).status).toBe(504);
    fail();
    await vi.waitFor(() => expect(failed().join('\n')).toMatch(/after the answer.*slow.*too late/));
  });
});
