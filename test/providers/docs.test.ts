import { createHmac } from 'node:crypto';
import { expect, it } from 'vitest';
import { type Provider, webhook } from '../../src/provider/fetch.js';
import { signedDelivery } from '../../src/testing/index.js';
import { runnable } from '../docs/run-page.js';

/** docs.github.com, "Validating webhook deliveries", with `Hello, World!`. */
const documented = {
  secret: "It's a Secret to Everybody",
  payload: 'Hello, World!',
  signature: 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17',
};

it('docs/providers.md: its example receives from GitHub', async () => {
  const run = await runnable('docs/providers.md');
  const { github } = (await run('github.ts')) as { github: Provider<{ action?: string }, true> };
  expect(signedDelivery(documented.payload, documented.secret, { provider: github }).headers).toMatchObject({
    'X-Hub-Signature-256': documented.signature,
  });

  const outcomes: unknown[] = [];
  const kinds: unknown[] = [];
  const hook = webhook(
    github,
    documented.secret,
    { onOutcome: (outcome) => outcomes.push(outcome.reason ?? outcome.code ?? outcome.result) },
    ({ event, delivery }) => {
      kinds.push([event.action, delivery.type]);
      return new Response(null, { status: 204 });
    },
  );
  const body = '{"action":"opened"}';
  const proof = `sha256=${createHmac('sha256', documented.secret).update(body).digest('hex')}`;
  const post = (text: string, signature: string) =>
    hook(
      new Request('https://service.test/github/webhooks', {
        method: 'POST',
        body: text,
        headers: { 'X-GitHub-Event': 'issues', 'X-Hub-Signature-256': signature },
      }),
    );
  for (const [text, signature] of [
    [documented.payload, documented.signature],
    [body, proof],
    [body, proof],
    [`${body} `, proof],
  ] as const) {
    await post(text, signature);
  }
  // The documented payload is genuine, and no JSON.
  expect(outcomes).toEqual(['invalid_json', 'accepted', 'duplicate', 'signature_mismatch']);
  expect(kinds).toEqual([['opened', 'issues']]);
});
