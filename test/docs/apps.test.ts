/** Each Express app on a page of docs/, judged as a service: other routes, forgeries, failures, on both Express. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { chdir, cwd } from 'node:process';
import type { Express } from 'express';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';
import { type OwnSchema, ownSchema } from '../stores/own-schema.js';
import { bytesOf, Connection, listen } from '../support/adapters.js';
import { redisUrl } from '../support/backends.js';
import { slackStandIn } from '../support/chat-stand-in.js';
import { blocksOf, pages } from './markdown.js';
import { runnable } from './run-page.js';
import { modulesOf } from './type-check.js';

const secret = 'a secret of the pages';

const apps = pages()
  .filter(({ path }) => /^docs\/[\w-]+\.md$/.test(path))
  .flatMap((page) => modulesOf(blocksOf(page)))
  // `providers/docs.test.ts` runs that of another sender.
  .filter(({ text }) => text.includes('= express()') && !text.includes('vast-webhook/provider'))
  .map(({ block, file }) => [`${block.page.path}, ${basename(file)}`, block.page.path, basename(file)] as const);

it('there are apps on pages', () => {
  expect(apps.length).toBeGreaterThanOrEqual(9);
});

/** An app as its page gives it, or a function that makes it with the part that calls others. */
interface Exports {
  readonly app?: Express;
  readonly makeApp?: (secret: string, work: () => Promise<void>) => Express;
}

/** Instead of listening, which tests do, it hands the app out. */
function handOut(text: string): string {
  return text.replace(/^app\.listen\(.*\);$/m, 'export { app };');
}

describe.each(['express', 'express4'])('on %s', (express) => {
  describe.each(apps)('%s', async (_title, page, file) => {
    const runBlock = await runnable(page, { alias: { express }, edit: handOut });
    let schema: OwnSchema;
    let slack: Awaited<ReturnType<typeof slackStandIn>>;
    let folder: string;
    let app: Express;
    let work: () => Promise<void>;
    const before = cwd();
    const unhandled: unknown[] = [];
    const hear = (error: unknown) => unhandled.push(error);

    beforeAll(async () => {
      schema = await ownSchema();
      slack = await slackStandIn();
      folder = await mkdtemp(join(tmpdir(), 'vast-webhook-apps-'));
      await writeFile(join(folder, 'secret.txt'), secret);
      // Relative paths of the page are there.
      chdir(folder);
      process.on('unhandledRejection', hear);
      const env = {
        VAST_WEBHOOK_SECRET: secret,
        VAST_SECRET_CLIENT: secret,
        VAST_SECRET_HOST: 'the secret of the host',
        SECRET_FILE: join(folder, 'secret.txt'),
        OUTBOX_FILE: join(folder, 'outbox.db'),
        SLACK_WEBHOOK_URL: slack.url,
        GOOGLE_CHAT_URL: slack.url,
        REDIS_URL: redisUrl(),
        DATABASE_URL: schema.url,
      };
      for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
      for (const level of ['log', 'warn', 'error'] as const) vi.spyOn(console, level).mockReturnValue();
      const made = (await runBlock(file)) as Exports;
      app = made.app ?? (made.makeApp?.(secret, () => work()) as Express);
    });
    afterAll(async () => {
      process.off('unhandledRejection', hear);
      chdir(before);
      vi.unstubAllEnvs();
      vi.restoreAllMocks();
      await slack.close();
      await schema.drop();
      await rm(folder, { recursive: true, force: true });
    });

    async function send(target: string, method: string, message: { body?: string; headers?: object } = {}) {
      const server = createServer(app);
      const port = await listen(server);
      const connection = await Connection.open(port);
      onTestFinished(() => {
        connection.destroy();
        server.close();
      });
      const headers = Object.entries(message.headers ?? {}) as [string, string][];
      const bytes = bytesOf({ target, method, body: message.body ?? '', headers });
      // Browsers send no Content-Length with a GET.
      connection.write(method === 'GET' ? bytes.toString().replace('Content-Length: 0\r\n', '') : bytes);
      return (await connection.answer(method)).status;
    }

    it('takes a genuine event, and takes it again when it comes again', async () => {
      work = async () => {};
      const delivery = signedDelivery(sampleEvent('outbid'), secret);
      expect(await send('/vast/webhooks', 'POST', delivery)).toBe(204);
      // Until a store has recorded it, it is in flight.
      await vi.waitFor(async () => expect(await send('/vast/webhooks', 'POST', delivery)).toBe(204));
    });

    it('refuses forgeries and other methods, and leaves other routes alone', async () => {
      const forged = signedDelivery(sampleEvent('outbid'), 'another-secret-of-some-length');
      // A secret that a function gives may have changed.
      expect([401, 503]).toContain(await send('/vast/webhooks', 'POST', forged));
      for (const method of ['GET', 'PUT']) {
        expect(await send('/vast/webhooks', method)).toBe(page.includes('migrate') ? 404 : 405);
      }
      expect(await send('/health', 'GET')).toBe(page.includes('migrate') ? 200 : 404);
      expect(await send('/', 'GET')).toBe(404);
      expect(unhandled).toEqual([]);
    });

    it('lives on when its own part fails, and has the event sent again', async () => {
      work = async () => {
        throw new Error('away');
      };
      // A file that cannot be written.
      await rm(join(folder, 'requests.jsonl'), { force: true });
      await mkdir(join(folder, 'requests.jsonl'));
      const status = await send('/vast/webhooks', 'POST', signedDelivery(sampleEvent('outbid'), secret));
      await new Promise((resolve) => setImmediate(resolve));
      expect(unhandled).toEqual([]);
      expect(status).toBe(/test-your-handler|debug-a-401/.test(page) ? 500 : 204);
    });
  });
});
