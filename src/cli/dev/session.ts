import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { VastType } from 'vast-webhook';
import { type VastApi, vastApi } from 'vast-webhook/api';
import { sampleEvent } from 'vast-webhook/testing';
import { asUsage, findApiKey } from '../manage/flags.js';
import { findSecrets } from '../secrets/candidates.js';
import { acquireLock } from '../secrets/file-lock.js';
import { isAccepted, nameOf, sender, statusOf } from '../send/post-delivery.js';
import { type ReceiverLog, receiverLog } from '../serve/log.js';
import { givenSinks, secretsInSink, sinksFromUrls, withoutLabel } from '../serve/sinks-from-urls.js';
import type { CliContext } from '../shared/context.js';
import { CliError, fetchErrorCode, UsageError } from '../shared/errors.js';
import { listen, stopListening } from '../shared/listen.js';
import { proxiedFetch } from '../shared/proxied-fetch.js';
import { readSettings } from '../shared/settings.js';
import { DeliveryLog, type LoggedDelivery } from './delivery-log.js';
import type { Explanation } from './explain.js';
import { type ForwardAnswer, type ForwardTarget, failedStatus, forwardTarget, forwardUrl } from './forward.js';
import { History } from './history.js';
import { withEventId } from './page/json-source.js';
import { type Done, devPage, type Page, WrongOrder } from './page-server.js';
import { endpointPath, type Receiver, receiver } from './recording-receiver.js';
import { knownSecret, type Registration, register, rotate, sendTest } from './registration.js';
import { openTunnel, type Tunnel } from './tunnel.js';

export interface DevOptions {
  readonly tunnelUrl?: string;
  readonly tunnel?: string;
  readonly forwardTo?: string;
  readonly name: string;
  readonly types?: readonly string[];
  readonly port: number;
  readonly pagePort: number;
  /** False for none. */
  readonly history?: string | false;
  readonly slack?: readonly string[];
  readonly googleChat?: readonly string[];
  readonly sink?: readonly string[];
  readonly apiKey?: string;
  readonly apiKeyEnv?: string;
  readonly baseUrl?: string;
}

/** As many as can be looked through, in memory and in the file of the history. */
const keptDeliveries = 5_000;
const keptBytes = 24 * 1024 * 1024;
const tunnelTimeoutMs = 30_000;
/** How long the tunnel may take to lead here once its address is known. */
const reachTimeoutMs = 20_000;
const probeTimeoutMs = 5_000;
const testWaitMs = 3_000;
const closeWithinMs = 5_000;
/** Longer than an abandoned lock takes to be noticed. */
const lockWaitMs = 1_500;

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
  readonly #deliveries = new DeliveryLog(keptDeliveries, keptBytes);
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
  #forwardTo: URL | undefined;
  #page: Page | undefined;

  constructor(options: DevOptions, io: CliContext) {
    this.#options = options;
    this.#io = io;
    this.#log = receiverLog(io, 'text', this.#secrets);
  }

  async run(): Promise<void> {
    const { port, pagePort, tunnel: command } = this.#options;
    const given = this.#tunnelUrl();
    const forward = this.#forwardTarget();
    this.#setting = await readSettings(this.#io);
    const apiKey = await findApiKey(this.#io, { provider: 'vast', ...this.#options });
    const api =
      apiKey === undefined
        ? undefined
        : vastApi({ apiKey, baseUrl: this.#options.baseUrl, fetch: proxiedFetch(this.#setting) });
    if (apiKey !== undefined) this.#secrets.push(apiKey);
    const sinks = this.#sinks();

    // Closed after the receiver, whose last answers belong to it.
    await this.#openHistory();
    const ownPort = await this.#listen((req, res) => this.#serve(req, res), port, '--port');
    this.#receiverUrl.port = String(ownPort);
    this.#log.note('info', `receiving on ${this.#receiverUrl}`);
    if (forward !== undefined) this.#checkForward(forward.url);
    await this.#openPage(pagePort);
    this.#place(undefined);
    const tunnel = command === undefined ? undefined : await this.#openTunnel(command, ownPort);
    const url = tunnel?.url ?? given;
    if (url !== undefined) this.#place(endpointOf(url));

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
        forward,
        onForwarded: (answer) => this.#noteForwarded(answer),
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

  #forwardTarget(): ForwardTarget | undefined {
    const { forwardTo } = this.#options;
    if (forwardTo === undefined) return undefined;
    const target = forwardTarget(forwardUrl(forwardTo), this.#name);
    this.#closers.push(target.close);
    return target;
  }

  #checkForward(url: URL): void {
    if (isLoopbackUrl(url) && url.port === this.#receiverUrl.port) {
      throw new UsageError('--forward-to leads back to the receiver of dev: give the address of your own app');
    }
    this.#forwardTo = url;
    this.#log.note('info', `deliveries are passed on to ${nameOf(url)}, whose answers become the sender's`);
  }

  #noteForwarded(forwarded: ForwardAnswer): void {
    const { status, error, ms } = forwarded;
    const isOk = status >= 200 && status <= 299;
    const answer =
      status === 0
        ? `no answer (${error}), so the sender gets ${failedStatus(forwarded)}: is your app running?`
        : `${status} in ${Math.round(ms)} ms`;
    this.#log.note(isOk ? 'info' : 'warn', `your app: ${answer}`);
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
      resend: (delivery, changes) => this.#resend(delivery, changes),
      trigger: async (type, to) => {
        const event = sampleEvent(type as VastType);
        return this.#send({ body: JSON.stringify(event), id: event.event_id, attempt: 1 }, this.#targetOf(to));
      },
      explain: (delivery) => this.#explain(delivery),
    });
    const ownPort = await this.#listen(page, port, '--page-port');
    this.#page = page;
    this.#closers.push(page.close);
    this.#log.note('info', `deliveries are shown on http://127.0.0.1:${ownPort}/`);
  }

  #place(webhook: string | undefined): void {
    this.#page?.place({ receiver: this.#receiverUrl.href, webhook, forwardTo: this.#forwardTo?.href });
  }

  async #openHistory(): Promise<void> {
    const path = historyPath(this.#options, this.#io);
    if (path === undefined) return;
    const history = new History({
      path,
      kept: keptDeliveries,
      keptBytes,
      secrets: this.#secrets,
      onError: ({ code }) =>
        this.#log.note('warn', `deliveries are not kept any more: ${path} cannot be written (${code})`),
    });
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      // Two runs would give the same numbers to their deliveries.
      this.#closers.push(await acquireLock(`${path}.lock`, lockWaitMs));
      this.#deliveries.load(history.open());
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const why = `${path} cannot be used (${code ?? message})`;
      if (this.#options.history !== undefined) throw new CliError(`--history: ${why}: give another file`);
      this.#log.note('warn', `deliveries are not kept for the next time: ${why}`);
      return;
    }
    const stop = this.#deliveries.listen((delivery) => history.put(delivery));
    this.#closers.push(async () => {
      stop();
      await history.flush();
    });
  }

  async #explain(delivery: LoggedDelivery): Promise<Explanation | undefined> {
    const value = this.#secret;
    if (value === undefined) return undefined;
    const found = await findSecrets(this.#io, {});
    const from = found.find((each) => each.value === value)?.from ?? 'this run of dev';
    const others = found.filter((each) => each.value !== value).map((each) => ({ ...each, isGiven: false }));
    const { explain } = await import('./explain.js');
    const secrets = [{ from, value, isGiven: true }, ...others];
    return explain(delivery, { secrets, apiKey: this.#setting('VAST_API_KEY') });
  }

  /** Nothing but loopback, and where `--forward-to` leads, can be sent to from the page. */
  #targetOf(to: string | undefined): URL {
    if (to === undefined || to === '') return this.#receiverUrl;
    const url = URL.canParse(to) ? new URL(to) : undefined;
    const isHttp = url?.protocol === 'http:' || url?.protocol === 'https:';
    if (url === undefined || !isHttp)
      throw new WrongOrder('Give an address such as http://127.0.0.1:3000/vast/webhooks.');
    if (!isLoopbackUrl(url) && url.href !== this.#forwardTo?.href) {
      throw new WrongOrder('Give an address of loopback, or that of --forward-to: others could be anybody.');
    }
    return url;
  }

  async #resend(
    { body, attempt }: LoggedDelivery,
    { hasNewId, to }: { readonly hasNewId: boolean; readonly to?: string },
  ): Promise<Done> {
    const target = this.#targetOf(to);
    if (!hasNewId) return this.#send({ body, id: idIn(body), attempt: (attempt ?? 0) + 1 }, target);
    const id = randomBytes(16).toString('hex');
    const changed = withEventId(body, id);
    if (changed === undefined) throw new WrongOrder('It has no event id that could be replaced.');
    return this.#send({ body: changed, id, attempt: 1 }, target);
  }

  async #send({ body, id, attempt }: Outgoing, target: URL): Promise<Done> {
    if (this.#secret === undefined) throw new Error('The receiver is not ready yet: try again in a moment.');
    let isDuplicate = false;
    // Whatever of the same bytes arrives meanwhile had the same fate.
    const stop = this.#deliveries.listen((delivery) => {
      if (delivery.body === body && delivery.result === 'duplicate') isDuplicate = true;
    });
    const to = sender(target, 1, { secret: this.#secret, attempt }, this.#io.interrupted);
    const answered = await to.send(body, id).finally(() => to.close());
    stop();
    const status = statusOf(answered);
    const where = target === this.#receiverUrl ? '' : ` to ${nameOf(target)}`;
    const message = `Sent${where}, and the answer was ${status}.`;
    if (!isAccepted(answered)) throw new Error(message);
    if (!isDuplicate) return { message };
    return { message: `${message} It was a duplicate: this event was taken before.`, isDuplicate };
  }

  async #openTunnel(command: string, port: number): Promise<Tunnel> {
    const { env, cwd, interrupted: signal } = this.#io;
    const timeoutMs = tunnelTimeoutMs;
    this.#log.note('info', `waiting for the tunnel's address, ${timeoutMs / 1000} s at most`);
    const tunnel = await openTunnel({ command, env: { ...env, PORT: String(port) }, cwd, timeoutMs, signal });
    this.#closers.push(tunnel.close);
    this.#log.note('info', `the tunnel's address is ${tunnel.url.origin}`);
    return tunnel;
  }

  /** Waits until the address leads here. If it does not seem to, the sender may still see it otherwise. */
  async #reach({ origin }: URL): Promise<void> {
    const giveUpAt = performance.now() + reachTimeoutMs;
    const here = `port ${this.#receiverUrl.port} here`;
    let why = '';
    do {
      const probe = AbortSignal.any([this.#io.interrupted, AbortSignal.timeout(probeTimeoutMs)]);
      const before = why;
      try {
        const response = await fetch(`${origin}/health`, { redirect: 'manual', signal: probe });
        const text = await response.text();
        if (text.includes(this.#name)) return;
        why = `it answered ${response.status}`;
      } catch (error) {
        this.#io.interrupted.throwIfAborted();
        why = probe.aborted ? `no answer within ${probeTimeoutMs / 1000} s` : fetchErrorCode(error);
      }
      // Once, and again only when the reason has changed: nobody should look at a silent terminal for so long.
      if (why !== before) this.#log.note('info', `${origin} does not lead to ${here} yet (${why}): trying again`);
      await sleep(1_000, undefined, { signal: this.#io.interrupted });
    } while (performance.now() < giveUpAt);
    this.#log.note('warn', `${origin} does not seem to lead to ${here} (${why})`);
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

interface Outgoing {
  readonly body: string;
  readonly id: string | undefined;
  readonly attempt: number;
}

/**
 * One file a folder and port, so that two runs seldom want the same one; and outside of the folder, so that nobody
 * commits it. Undefined where none is wanted or there is no home.
 */
function historyPath({ history, port }: DevOptions, { env, cwd }: CliContext): string | undefined {
  if (history === false) return undefined;
  if (typeof history === 'string') return resolve(cwd, history);
  const home = env.HOME || env.USERPROFILE;
  const state = env.XDG_STATE_HOME || env.LOCALAPPDATA || (home && join(home, '.local', 'state'));
  const name = createHash('sha256')
    .update(`${resolve(cwd)}\n${port}`)
    .digest('hex')
    .slice(0, 16);
  return state ? join(state, 'vast-webhook', `dev-${name}.jsonl`) : undefined;
}

function isLoopbackUrl({ hostname }: URL): boolean {
  return /^(127(\.\d+){3}|localhost|\[::1\])$/.test(hostname);
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
