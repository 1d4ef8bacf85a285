import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { VastType } from 'vast-webhook';
import { type VastApi, vastApi } from 'vast-webhook/api';
import { sampleEvent } from 'vast-webhook/testing';
import { asUsage, findApiKey } from '../manage/flags.js';
import { isAccepted, sender, statusOf } from '../send/post-delivery.js';
import { type ReceiverLog, receiverLog } from '../serve/log.js';
import { givenSinks, secretsInSink, sinksFromUrls, withoutLabel } from '../serve/sinks-from-urls.js';
import type { CliContext } from '../shared/context.js';
import { CliError, UsageError } from '../shared/errors.js';
import { listen, stopListening } from '../shared/listen.js';
import { proxiedFetch } from '../shared/proxied-fetch.js';
import { readSettings } from '../shared/settings.js';
import { DeliveryLog } from './delivery-log.js';
import { devPage } from './page-server.js';
import { endpointPath, type Receiver, receiver } from './recording-receiver.js';
import { knownSecret, type Registration, register, rotate, sendTest } from './registration.js';
import { openTunnel, type Tunnel } from './tunnel.js';

export interface DevOptions {
  readonly tunnelUrl?: string;
  readonly tunnel?: string;
  readonly name: string;
  readonly types?: readonly string[];
  readonly port: number;
  readonly pagePort: number;
  readonly slack?: readonly string[];
  readonly googleChat?: readonly string[];
  readonly sink?: readonly string[];
  readonly apiKey?: string;
  readonly apiKeyEnv?: string;
  readonly baseUrl?: string;
}

const keptDeliveries = 200;
const tunnelTimeoutMs = 30_000;
/** How long the tunnel may take to lead here once its address is known. */
const reachTimeoutMs = 20_000;
const testWaitMs = 3_000;
const closeWithinMs = 5_000;

/** Runs until it is interrupted, or the tunnel breaks. Throws a `CliError` when it cannot be set up. */
export async function dev(options: DevOptions, io: CliContext): Promise<void> {
  const session = new Session(options, io);
  try {
    await session.run();
  } catch (error) {
    // After an interrupt, nobody wants to read what was cancelled.
    if (!io.interrupted.aborted) throw asUsage(error);
  } finally {
    await session.close();
  }
}

class Session {
  readonly #options: DevOptions;
  readonly #io: CliContext;
  readonly #deliveries = new DeliveryLog(keptDeliveries);
  /** What has been opened, to be closed the other way round. */
  readonly #closers: (() => unknown)[] = [];
  /** Of this run: shows whether an address leads here. */
  readonly #name = randomBytes(8).toString('hex');
  readonly #secrets: string[] = [];
  #receiver: Receiver | undefined;
  #secret: string | undefined;
  #arrived = 0;
  #mismatched = 0;
  #setting: (name: string) => string | undefined = () => undefined;
  readonly #log: ReceiverLog;
  readonly #receiverUrl = new URL(`http://127.0.0.1${endpointPath}`);

  constructor(options: DevOptions, io: CliContext) {
    this.#options = options;
    this.#io = io;
    this.#log = receiverLog(io, 'text', this.#secrets);
  }

  async run(): Promise<void> {
    const { port, pagePort, tunnel: command } = this.#options;
    const given = this.#tunnelUrl();
    this.#setting = await readSettings(this.#io);
    const apiKey = await findApiKey(this.#io, { provider: 'vast', ...this.#options });
    const api =
      apiKey === undefined
        ? undefined
        : vastApi({ apiKey, baseUrl: this.#options.baseUrl, fetch: proxiedFetch(this.#setting) });
    if (apiKey !== undefined) this.#secrets.push(apiKey);
    const sinks = this.#sinks();

    const ownPort = await this.#listen((req, res) => this.#serve(req, res), port, '--port');
    this.#receiverUrl.port = String(ownPort);
    this.#log.note('info', `receiving on ${this.#receiverUrl}`);
    await this.#openPage(pagePort);
    const tunnel = command === undefined ? undefined : await this.#openTunnel(command, ownPort);
    const url = tunnel?.url ?? given;

    const startReceiver = (secret: string) => {
      this.#secret = secret;
      this.#secrets.push(secret);
      this.#receiver = receiver({
        secret,
        sinks,
        log: this.#deliveries,
        onOutcome: (outcome) => {
          this.#arrived++;
          if (outcome.reason === 'signature_mismatch') this.#mismatched++;
          this.#log.outcome(outcome);
        },
        onError: (error) => this.#log.note('error', error.message),
      });
    };
    this.#closers.push(() => this.#receiver?.close(closeWithinMs));
    if (api !== undefined && url !== undefined) await this.#register(api, url, startReceiver);
    else await this.#receiveUnregistered(url, startReceiver);
    await this.#untilTheEnd(tunnel);
  }

  async close(): Promise<void> {
    for (const close of this.#closers.reverse()) await close();
  }

  /** With the endpoint's path, unless another one is given. */
  #tunnelUrl(): URL | undefined {
    const { tunnelUrl } = this.#options;
    if (tunnelUrl === undefined) return undefined;
    const url = URL.canParse(tunnelUrl) ? new URL(tunnelUrl) : undefined;
    if (url?.protocol !== 'https:') {
      throw new UsageError('--tunnel-url must be an https:// address, as Vast.ai takes no other');
    }
    return url;
  }

  #sinks() {
    const { slack, googleChat, sink } = this.#options;
    const listed = (name: string) => listOf(this.#setting(name));
    const given = [
      // Whichever webhook they are for: here is one only.
      ...givenSinks('--slack', slack ?? listed('SLACK_WEBHOOK_URL'), 'slack'),
      ...givenSinks('--google-chat', googleChat ?? listed('GOOGLE_CHAT_URL'), 'googleChat'),
      ...givenSinks('VAST_WEBHOOK_SINKS', listed('VAST_WEBHOOK_SINKS')),
      ...givenSinks('--sink', sink ?? []),
    ];
    this.#secrets.push(...given.flatMap(secretsInSink));
    return sinksFromUrls(given, {
      labels: [],
      cwd: this.#io.cwd,
      consoleUrl: this.#setting('VAST_CONSOLE'),
      fetch: proxiedFetch(this.#setting),
      onError: ({ message }, { sink }) => this.#log.note('warn', `${sink}: ${message}`),
    });
  }

  #serve(req: IncomingMessage, res: ServerResponse): void {
    if (this.#receiver === undefined) this.#elsewhere(req, res, 503);
    else this.#receiver(req, res, () => this.#elsewhere(req, res, 404));
  }

  #elsewhere(req: IncomingMessage, res: ServerResponse, status: number): void {
    const isHealth = req.url === '/health' && req.method === 'GET';
    const body = isHealth
      ? { ok: true, run: this.#name }
      : { ok: false, error: status === 404 ? 'not_found' : 'starting' };
    res.writeHead(isHealth ? 200 : status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
    req.resume();
    if (status === 404 && req.method === 'POST') {
      this.#log.note('warn', `a POST went past the endpoint: the webhook's address must end in ${endpointPath}`);
    }
  }

  /** Returns the port. */
  async #listen(listener: RequestListener, port: number, portFlag: string): Promise<number> {
    const server = createServer(listener);
    const ownPort = await listen(server, { host: '127.0.0.1', port, portFlag });
    this.#closers.push(() => stopListening(server)());
    return ownPort;
  }

  async #openPage(port: number): Promise<void> {
    const page = devPage(this.#deliveries, {
      resend: async (delivery) => this.#send(delivery.body, idIn(delivery.body), (delivery.attempt ?? 0) + 1),
      trigger: async (type) => {
        const event = sampleEvent(type as VastType);
        return this.#send(JSON.stringify(event), event.event_id, 1);
      },
    });
    const ownPort = await this.#listen(page, port, '--page-port');
    this.#closers.push(page.close);
    this.#log.note('info', `deliveries are shown on http://127.0.0.1:${ownPort}/`);
  }

  /** Gives a sentence for the page. */
  async #send(body: string, id: string | undefined, attempt: number): Promise<string> {
    if (this.#secret === undefined) throw new Error('The receiver is not ready yet: try again in a moment.');
    const to = sender(this.#receiverUrl, 1, { secret: this.#secret, attempt }, this.#io.interrupted);
    const answered = await to.send(body, id).finally(() => to.close());
    const status = statusOf(answered);
    if (!isAccepted(answered)) throw new Error(`Sent, and the answer was ${status}.`);
    return `Sent, and the answer was ${status}.`;
  }

  async #openTunnel(command: string, port: number): Promise<Tunnel> {
    const { env, cwd, interrupted: signal } = this.#io;
    const timeoutMs = tunnelTimeoutMs;
    const tunnel = await openTunnel({ command, env: { ...env, PORT: String(port) }, cwd, timeoutMs, signal });
    this.#closers.push(tunnel.close);
    this.#log.note('info', `the tunnel's address is ${tunnel.url.origin}`);
    return tunnel;
  }

  /** Waits until the address leads here. If it does not seem to, the sender may still see it otherwise. */
  async #reach({ origin }: URL): Promise<void> {
    const giveUpAt = performance.now() + reachTimeoutMs;
    let why = '';
    do {
      const probe = AbortSignal.any([this.#io.interrupted, AbortSignal.timeout(5_000)]);
      try {
        const response = await fetch(`${origin}/health`, { redirect: 'manual', signal: probe });
        const text = await response.text();
        if (text.includes(this.#name)) return;
        why = `it answered ${response.status}`;
      } catch (error) {
        this.#io.interrupted.throwIfAborted();
        why = String((error as { cause?: { code?: string } }).cause?.code ?? (error as Error).name);
      }
      await sleep(1_000, undefined, { signal: this.#io.interrupted });
    } while (performance.now() < giveUpAt);
    this.#log.note('warn', `${origin} does not seem to lead to port ${this.#receiverUrl.port} here (${why})`);
  }

  async #register(api: VastApi, tunnelUrl: URL, startReceiver: (secret: string) => void): Promise<void> {
    const { name, types } = this.#options;
    const { interrupted } = this.#io;
    const { note } = this.#log;
    await this.#reach(tunnelUrl);
    const wanted = { name, url: endpointOf(tunnelUrl), types };
    const registration: Registration = await register(api, wanted, this.#setting, this.#io, note);
    const { id } = registration;
    const renewSecret = async () => startReceiver(await rotate(api, id, this.#setting, this.#io));
    if (registration.secret === undefined) await renewSecret();
    else startReceiver(registration.secret);
    const seen = () => ({ arrived: this.#arrived, mismatched: this.#mismatched });
    await sendTest(api, id, { seen, renewSecret, waitMs: testWaitMs }, interrupted, note);
  }

  async #receiveUnregistered(tunnelUrl: URL | undefined, startReceiver: (secret: string) => void): Promise<void> {
    const { note } = this.#log;
    const known = knownSecret(this.#setting);
    startReceiver(known ?? (await this.#makeSecret()));
    if (tunnelUrl === undefined) {
      note('info', 'only what is sent on this machine arrives: --tunnel or --tunnel-url lets Vast.ai in');
    } else {
      note(
        'info',
        `there is no VAST_API_KEY, so nothing was registered: the webhook's address is ${endpointOf(tunnelUrl)}`,
      );
      if (known === undefined)
        note('info', 'when you have made the webhook, put its secret into VAST_WEBHOOK_SECRET and start anew');
      await this.#reach(tunnelUrl);
    }
  }

  /** For what is sent from here. */
  async #makeSecret(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'vast-webhook-dev-'));
    this.#closers.push(() => rm(folder, { recursive: true, force: true }));
    const file = join(folder, 'secret');
    const secret = randomBytes(32).toString('hex');
    await writeFile(file, secret, { mode: 0o600 });
    this.#log.note('info', `there is no VAST_WEBHOOK_SECRET: a secret for this run only is in ${file}`);
    return secret;
  }

  async #untilTheEnd(tunnel: Tunnel | undefined): Promise<void> {
    const { interrupted } = this.#io;
    const interruption = interrupted.aborted ? Promise.resolve() : once(interrupted, 'abort');
    const how = await Promise.race([interruption.then(() => undefined), ...(tunnel ? [tunnel.ended] : [])]);
    if (how === 'status 0') {
      // It may have gone on in the background.
      this.#log.note('warn', 'the tunnel command has ended');
      await interruption;
    } else if (how !== undefined && !interrupted.aborted) {
      throw new CliError(`the tunnel has ended (${how}), and nothing can arrive any more: start it again`);
    }
    this.#log.note('info', 'closing');
  }
}

function listOf(value = ''): readonly string[] {
  return value.split(/\s+/).filter(Boolean).map(withoutLabel);
}

function endpointOf(url: URL): string {
  return url.pathname === '/' ? new URL(endpointPath, url).href : url.href;
}

function idIn(body: string): string | undefined {
  try {
    const { event_id: id } = Object(JSON.parse(body)) as { event_id?: unknown };
    return typeof id === 'string' ? id : undefined;
  } catch {
    return undefined;
  }
}
