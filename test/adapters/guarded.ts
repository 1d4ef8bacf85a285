/** Every way to mount the middleware must guard its endpoint and let other requests pass. */
import { createServer, type RequestListener } from 'node:http';
import { expect, onTestFinished } from 'vitest';
import { type Outcome, vastWebhook } from '../../src/index.js';
import { type Answer, bytesOf, Connection, listen, type Message, secret, signed } from '../support/adapters.js';

export const json = [['Content-Type', 'application/json']] as const;

/** A way to mount the middleware, with the targets that it must guard and those that it must let pass. */
export interface Way<Kit> {
  readonly build: (kit: Kit) => RequestListener;
  readonly guarded: readonly string[];
  readonly open?: readonly string[];
}

export async function expectGuarded(
  listener: RequestListener,
  outcomes: readonly Outcome[],
  way: Way<never>,
): Promise<void> {
  const server = createServer(listener);
  const port = await listen(server);
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const send = async (message: Message): Promise<Answer> => {
    const connection = await Connection.open(port);
    connection.write(bytesOf(message));
    const answer = await connection.answer();
    connection.destroy();
    return answer;
  };
  for (const target of way.guarded) {
    expect(await send({ target, headers: json, body: '{"a":1}' }), target).toMatchObject({
      status: 401,
      body: '{"ok":false,"error":"invalid_signature"}',
    });
    const before = outcomes.length;
    expect(await send({ target, ...signed() }), target).toMatchObject({ status: 200, body: '"verified"' });
    expect(outcomes.length - before, target).toBe(1);
    expect(outcomes.at(-1), target).toMatchObject({ result: 'accepted' });
  }
  const before = outcomes.length;
  for (const target of way.open ?? []) {
    expect(await send({ target, headers: json, body: '{"a":1}' }), target).toMatchObject({
      status: 200,
      body: '{"unverified":{"a":1}}',
    });
  }
  expect(outcomes.length).toBe(before);
}

export const topLevel = {
  guarded: ['/vast/webhooks', '/VAST/webhooks/', 'http://service.test/vast/webhooks?a=b', '/more/vast/webhooks'],
  open: ['/', '/other', '/vast', '/vast/webhooks/more'],
};
export const onRoute = {
  guarded: ['/hooks/vast', '/HOOKS/vast/', 'http://service.test/hooks/vast'],
  open: ['/', '/vast/webhooks', '/hooks/vast/more'],
};

/** The status of an unsigned request to a server behind the middleware, which answers 200 on every path. */
export async function statusInFront(
  path: string,
  target: string,
  behind: RequestListener = (_req, res) => res.end(),
): Promise<number> {
  const hook = vastWebhook(secret, { path, onOutcome() {} });
  const server = createServer((req, res) => hook(req, res, () => behind(req, res)));
  const port = await listen(server);
  onTestFinished(() => void server.close());
  const connection = await Connection.open(port);
  connection.write(bytesOf({ target, body: '{}' }));
  const { status } = await connection.answer();
  connection.destroy();
  return status;
}
