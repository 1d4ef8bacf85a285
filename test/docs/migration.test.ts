import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { verifyDelivery } from '../../src/index.js';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';
import { type Installed, installed } from '../cli/installed.js';
import { googleChatStandIn, slackStandIn } from '../support/chat-stand-in.js';
import { startVastManagement } from '../support/management-stand-in.js';
import { proxiedHosts } from '../support/proxied-hosts.js';
import { type Block, blocksOf, pageAt } from './markdown.js';

const page = 'docs/migrate-from-the-python-adapters.md';
/** The names of the webhooks in the guides. */
const [ofSlack, ofChat] = ['Slack notifications', 'Google Chat notifications'] as const;

let command: Installed;
beforeAll(async () => {
  command = await installed();
}, 120_000);
afterAll(() => command?.remove(), 60_000);

async function freePort(): Promise<number> {
  const server = createTcpServer();
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** One of the guides' adapters: it takes what is genuine. */
async function adapter(port: number, secretOf: () => string) {
  const shown = new Set<string>();
  const server = createServer(async (req, res) => {
    const body = await buffer(req);
    try {
      shown.add(verifyDelivery({ headers: req.headers, body, secret: secretOf() }).delivery.id);
      res.writeHead(200).end('{"ok": true}');
    } catch {
      res.writeHead(401).end();
    }
  });
  await once(server.listen(port, '127.0.0.1'), 'listening');
  const stop = async () => {
    if (!server.listening) return;
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  };
  onTestFinished(stop);
  return { shown, stop };
}

/** A terminal in the reader's folder. */
class Terminal {
  output = '';
  readonly exited: Promise<number | NodeJS.Signals>;
  readonly #shell: ChildProcess;

  constructor(line: string, cwd: string, env: Readonly<Record<string, string>>) {
    // So that a signal is the command's.
    this.#shell = spawn('bash', ['-c', `exec ${line}`], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#shell.stdout, this.#shell.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
      });
    }
    this.exited = once(this.#shell, 'close').then(([status, signal]) => status ?? signal);
    onTestFinished(() => void this.#shell.kill('SIGKILL'));
  }

  interrupt(): void {
    this.#shell.kill('SIGINT');
  }
}

/** The accounts, chats and adapters of somebody who has followed both guides, and what Vast.ai sends meanwhile. */
async function reader() {
  const [port, chatPort, trialPort] = [await freePort(), await freePort(), await freePort()];
  const origins: Readonly<Record<string, string>> = {
    'hooks.example.com': `http://127.0.0.1:${port}`,
    'chat-hooks.example.com': `http://127.0.0.1:${chatPort}`,
  };
  const resolve = (url: string) => {
    const { host, pathname } = new URL(url);
    return `${origins[host]}${pathname}`;
  };
  const service = await startVastManagement({ resolve });
  const [slack, chat] = [await slackStandIn(), await googleChatStandIn()];
  const proxy = await proxiedHosts({
    'console.vast.ai': new URL(service.url).origin,
    'hooks.slack.com': new URL(slack.url).origin,
    'chat.googleapis.com': new URL(chat.url).origin,
    ...origins,
  });
  onTestFinished(async () => {
    await Promise.all([service, slack, chat, proxy].map((each) => each.close()));
  });

  const register = async (name: string, host: string, types: readonly string[]) => {
    const answer = await fetch(`${service.url}/webhooks/`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${service.apiKey}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ name, webhook_url: `https://${host}/`, event_types: types }),
    });
    expect(answer.status).toBe(200);
  };
  await register(ofSlack, 'hooks.example.com', ['client:outbid']);
  await register(ofChat, 'chat-hooks.example.com', ['client:low_credit']);
  const secrets = Object.fromEntries(service.webhooks.map(({ name, webhook_secret }) => [name, webhook_secret]));
  const adapters = {
    slack: await adapter(port, () => secrets[ofSlack] ?? ''),
    chat: await adapter(chatPort, () => secrets[ofChat] ?? ''),
  };

  const project = await command.projectWith('better-sqlite3');
  await mkdir(join(project, 'node_modules/.bin'), { recursive: true });
  const bin = join(project, 'node_modules/vast-webhook/dist/cli/main.js');
  await chmod(bin, 0o755);
  await symlink('../vast-webhook/dist/cli/main.js', join(project, 'node_modules/.bin/vast-webhook'));

  const env = {
    PATH: process.env.PATH ?? '',
    HOME: project,
    npm_config_update_notifier: 'false',
    VAST_API_KEY: service.apiKey,
    HTTPS_PROXY: proxy.url,
    SSL_CERT_FILE: proxy.certificate,
    PORT: String(port),
  };
  const addresses: Readonly<Record<string, string>> = {
    'SECRET-OF-ONE': secrets[ofSlack] ?? '',
    'SECRET-OF-THE-OTHER': secrets[ofChat] ?? '',
    'https://hooks.slack.com/services/...': `https://hooks.slack.com${new URL(slack.url).pathname}`,
    'https://chat.googleapis.com/...': `https://chat.googleapis.com${chat.url.slice(new URL(chat.url).origin.length)}`,
  };
  /** As the page has it, with what only the reader knows. */
  const filledIn = (text: string) =>
    Object.entries(addresses).reduce((filled, [placeholder, value]) => filled.replaceAll(placeholder, value), text);
  return { service, slack, chat, proxy, adapters, project, env, trialPort, filledIn, resolve };
}

type Reader = Awaited<ReturnType<typeof reader>>;

/** Vast.ai: an event of each type twice a second, delivered again until it is taken, and given up after a 4xx. */
function sending({ service, resolve }: Reader) {
  const sent: { readonly id: string; readonly type: string }[] = [];
  const lost: string[] = [];
  const underWay = new Set<Promise<void>>();
  let isOver = false;
  let isTestOver = false;
  onTestFinished(() => {
    isOver = isTestOver = true;
  });
  const deliverUntilTaken = async (type: string, url: string, secret: string) => {
    const event = sampleEvent(type as 'outbid');
    sent.push({ id: event.event_id, type });
    while (!isTestOver) {
      const { body, headers } = signedDelivery(event, secret);
      const init = { method: 'POST', body, headers: { ...headers, Connection: 'close' } };
      const status = await fetch(resolve(url), init).then(
        (response) => response.body?.cancel().then(() => response.status) ?? response.status,
        () => 0,
      );
      if (status >= 200 && status <= 299) return;
      if (status >= 400 && status < 500 && status !== 408 && status !== 429) {
        lost.push(`${type} ${event.event_id}: ${status} from ${url}`);
        return;
      }
      await sleep(100);
    }
  };
  const loop = (async () => {
    for (; !isOver; await sleep(500)) {
      for (const type of ['outbid', 'low_credit']) {
        for (const { webhook_url, webhook_secret, event_types } of service.webhooks) {
          if (!event_types.includes(`client:${type}`)) continue;
          const delivery = deliverUntilTaken(type, webhook_url, webhook_secret).finally(() =>
            underWay.delete(delivery),
          );
          underWay.add(delivery);
        }
      }
    }
  })();
  return {
    sent,
    lost,
    /** Until all is taken that was sent before: a day later. */
    settled: () => Promise.all(underWay),
    async end() {
      isOver = true;
      await loop;
      await Promise.all(underWay);
    },
  };
}

/** A line of a page's shells, or a file that it shows. */
interface Step {
  readonly file?: string;
  readonly line?: string;
}

function stepsOf(blocks: readonly Block[]): Step[] {
  return blocks.flatMap(({ language, code }): Step[] => {
    if (language === 'text') return [{ file: code }];
    return language === 'sh'
      ? code
          .trim()
          .split('\n')
          .map((line) => ({ line }))
      : [];
  });
}

describe(page, () => {
  it('leads from both adapters to serve line by line, and no event is lost', async () => {
    const all = await reader();
    const { project, env, adapters, slack, chat, trialPort, filledIn, service } = all;
    const sender = sending(all);
    let serve: Terminal | undefined;
    const stopServe = async () => {
      serve?.interrupt();
      if (serve) expect([await serve.exited, serve.output]).toEqual([0, expect.anything()]);
    };
    const done: string[] = [];
    for (const { file, line = '' } of stepsOf(blocksOf(pageAt(page)))) {
      if (file !== undefined) {
        await writeFile(join(project, '.env'), filledIn(file));
        continue;
      }
      // Other tests may be using the page's port.
      const onThisMachine = line.replace('8788', String(trialPort));
      done.push(line);
      if (line.startsWith('npm install ')) {
        expect(['vast-webhook', 'better-sqlite3']).toContain(line.split(' ')[2]);
      } else if (line.includes(' serve')) {
        const isTrial = line.includes('8788');
        if (line.includes('--path')) await sender.settled();
        if (!isTrial) await adapters.slack.stop();
        await stopServe();
        serve = new Terminal(onThisMachine, project, env);
        const { exited } = serve;
        let isOver = false;
        exited.then(() => {
          isOver = true;
        });
        await vi.waitUntil(() => isOver || serve?.output.includes('listening on'), { timeout: 20_000 });
        expect(serve.output).toContain('listening on');
      } else {
        const terminal = new Terminal(onThisMachine, project, env);
        expect(await terminal.exited, `${line}\n${terminal.output}${serve?.output}`).toBe(0);
      }
    }
    await sender.end();
    await adapters.chat.stop();
    // What the outbox has taken is delivered, too.
    const shownIn = (messages: readonly { readonly text: string }[], id: string) =>
      messages.some(({ text }) => text.includes(id));
    const missing = () =>
      sender.sent.filter(({ id, type }) =>
        type === 'outbid'
          ? !adapters.slack.shown.has(id) && !shownIn(slack.messages, id)
          : !adapters.chat.shown.has(id) && !shownIn(chat.messages, id),
      );
    await vi.waitUntil(() => missing().length === 0, { timeout: 20_000 }).catch(() => {});
    expect(missing()).toEqual([]);
    expect(sender.lost).toEqual([]);
    expect(sender.sent.length).toBeGreaterThan(20);
    expect(service.webhooks.map(({ name, webhook_url }) => [name, webhook_url])).toEqual([
      [ofSlack, 'https://hooks.example.com/vast/webhooks'],
    ]);
    expect(slack.messages.filter(({ text }) => text.includes('webhook_test')).length).toBeGreaterThanOrEqual(3);
    expect(done.length).toBeGreaterThan(14);
    await stopServe();
  }, 180_000);

  it('says what serve answers', async () => {
    const { project, env, slack, filledIn, adapters, service } = await reader();
    await adapters.slack.stop();
    await writeFile(
      join(project, '.env'),
      filledIn('VAST_WEBHOOK_SECRET=SECRET-OF-ONE\nSLACK_WEBHOOK_URL=https://hooks.slack.com/services/...\n'),
    );
    const serve = new Terminal('./node_modules/.bin/vast-webhook serve', project, env);
    await vi.waitUntil(() => serve.output.includes('listening on'), { timeout: 20_000 });
    const get = async (path: string, init: RequestInit = {}) => {
      const response = await fetch(`http://127.0.0.1:${env.PORT}${path}`, init);
      return [response.status, await response.text()];
    };
    const { body, headers } = signedDelivery(sampleEvent('outbid'), String(service.webhooks[0]?.webhook_secret));
    const post = { method: 'POST', body, headers };
    expect(await get('/health')).toEqual([200, '{"ok":true}']);
    slack.misbehave = (res) => res.writeHead(404).end();
    const refusal = /^\{"ok":false,"error":"sink_failed","sinks":\{"slack-[0-9a-f]{8}":404\}\}$/;
    expect(await get('/', post)).toEqual([502, expect.stringMatching(refusal)]);
    slack.misbehave = undefined;
    expect(await get('/', post)).toEqual([204, '']);
    expect(await get('/', post)).toEqual([204, '']);
    expect(await get('/', { ...post, body: `${body} ` })).toEqual([401, '{"ok":false,"error":"invalid_signature"}']);
    expect(await get('/elsewhere', post)).toEqual([204, '']);
    expect(await get('/elsewhere')).toEqual([404, '{"ok":false,"error":"not_found"}']);
    expect(slack.messages).toHaveLength(1);
    serve.interrupt();
    expect(await serve.exited).toBe(0);
  }, 60_000);
});
