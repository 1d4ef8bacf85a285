import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { expect, it, onTestFinished } from 'vitest';
import { providersWithAcme } from '../docs/provider-page.js';
import { listen } from '../support/adapters.js';

/** A copy of the sources with the additions of docs/providers.md, which docs/code-blocks.test.ts compiles. */
async function sourcesWithAcme(): Promise<string> {
  // Beside the real ones, so that node_modules are found.
  const folder = await mkdtemp(join(process.cwd(), 'test/providers/acme-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  await cp('src', join(folder, 'src'), { recursive: true });
  const page = await readFile('docs/providers.md', 'utf8');
  const [file = ''] = [...page.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code as string);
  await writeFile(join(folder, 'src/providers/acme.ts'), file);
  await writeFile(join(folder, 'src/providers/index.ts'), providersWithAcme().text);
  return folder;
}

it('docs/providers.md: its example is a provider', async () => {
  const folder = await sourcesWithAcme();
  await writeFile(
    join(folder, 'src/all.ts'),
    `export { createForwarder } from './queue/create-forwarder.js';
     export { expressWebhook } from './adapters/express.js';
     export { acme } from './providers/acme.js';
     export { signedDelivery } from './testing/signed-delivery.js';`,
  );
  const outfile = join(folder, 'all.mjs');
  await build({
    entryPoints: [join(folder, 'src/all.ts')],
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    outfile,
  });
  const { acme, createForwarder, expressWebhook, signedDelivery } = await import(pathToFileURL(outfile).href);

  const delivered: unknown[] = [];
  const worker = createForwarder({
    sinks: [
      function audit(event: unknown) {
        delivered.push(event);
      },
    ],
  });
  const hook = expressWebhook(acme, 'a secret', {
    sinks: [{ name: 'queue', deliver: (_: object, { delivery }: { delivery: object }) => worker(delivery) }],
    onOutcome() {},
  });
  const server = createServer((req, res) => hook(req, res, () => res.writeHead(404).end()));
  const url = `http://127.0.0.1:${await listen(server)}/acme/webhooks`;
  onTestFinished(() => void server.close());
  const event = { uid: 'u1', kind: 'rocket.delivered' };
  const post = async (secret: string) =>
    (await fetch(url, { method: 'POST', ...signedDelivery(event, secret, { provider: 'acme' }) })).status;
  expect([await post('another'), await post('a secret'), await post('a secret')]).toEqual([401, 204, 204]);
  expect(delivered).toEqual([event]);
});
