import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { stripVTControlCharacters } from 'node:util';
import { CliError } from '../shared/errors.js';
import { printable } from '../shared/print.js';

export interface Tunnel {
  readonly url: URL;
  /** Resolves when the command ends by itself, with how: `status 1`. */
  readonly ended: Promise<string>;
  close(): Promise<void>;
}

export interface TunnelOptions {
  /** Run through the shell. */
  readonly command: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** How long to wait for the URL, in milliseconds. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Text after which no newline comes, such as a prompt, is looked at after this. */
const lineTimeoutMs = 300;
const lastWordsLength = 200;
const killAfterMs = 2_000;

/** Starts a tunnel's command and waits for its URL. Throws a `CliError` when there is none; then nothing of it is left. */
export async function openTunnel({ command, env, cwd, timeoutMs, signal }: TunnelOptions): Promise<Tunnel> {
  signal.throwIfAborted();
  const child = spawn(command, {
    shell: true,
    // A process group of its own, so that what the shell has started ends with it.
    detached: process.platform !== 'win32',
    stdio: ['ignore', 'pipe', 'pipe'],
    env,
    cwd,
  });
  // What the shell has started may hold the output open after the shell has gone, so that `close` may never come.
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (status, killedBy) => resolve(killedBy ?? `status ${status}`));
  });
  const close = () => end(child, ended);
  const abort = new AbortController();
  const stop = AbortSignal.any([signal, abort.signal]);
  let lastWords = '';
  try {
    const url = await new Promise<URL>((resolve, reject) => {
      const look = (line: string) => {
        lastWords = line.trim() || lastWords;
        const found = tunnelUrlIn(line);
        if (found !== undefined) resolve(found);
      };
      readLines(child, look);
      const timer = setTimeout(() => {
        const seconds = timeoutMs / 1000;
        reject(
          new CliError(`the tunnel command printed no https URL within ${seconds} s: run it by itself to see why`),
        );
      }, timeoutMs);
      stop.addEventListener('abort', () => {
        clearTimeout(timer);
        reject(signal.reason);
      });
      ended.then(async (how) => {
        // Its last words may still be on the way.
        await new Promise((resolve) => setTimeout(resolve, 2 * lineTimeoutMs));
        const said = lastWords === '' ? '' : `, and last said: ${lastWords.slice(0, lastWordsLength)}`;
        reject(new CliError(`the tunnel command ended (${how}) before it printed an https URL${said}`));
      });
    });
    return { url, ended, close };
  } catch (error) {
    await close();
    throw error;
  } finally {
    abort.abort();
  }
}

function readLines({ stdout, stderr }: ChildProcess, look: (line: string) => void): void {
  for (const stream of [stdout, stderr]) {
    let rest = '';
    let timer: NodeJS.Timeout | undefined;
    // Read to its end, also when the URL is known: a full pipe would stop the tunnel.
    stream?.setEncoding('utf8').on('data', (chunk: string) => {
      clearTimeout(timer);
      const lines = (rest + chunk).split(/[\r\n]+/);
      rest = (lines.pop() ?? '').slice(-10_000);
      for (const line of lines) look(plain(line));
      if (rest !== '') timer = setTimeout(() => look(plain(rest)), lineTimeoutMs).unref();
    });
    stream?.on('error', () => {});
  }
}

function plain(line: string): string {
  return printable(stripVTControlCharacters(line));
}

async function end(child: ChildProcess, ended: Promise<string>): Promise<void> {
  kill(child, 'SIGTERM');
  const timer = setTimeout(() => kill(child, 'SIGKILL'), killAfterMs);
  await ended;
  clearTimeout(timer);
  // The shell is gone: whatever of the group has not listened goes, too.
  kill(child, 'SIGKILL');
  child.stdout?.destroy();
  child.stderr?.destroy();
}

function kill(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    if (process.platform === 'win32') {
      // There are no groups: what the shell has started is found by its parent, as long as that is there.
      execFileSync('taskkill', ['/pid', `${child.pid}`, '/t', '/f'], { stdio: 'ignore' });
    } else {
      process.kill(-child.pid, signal);
    }
  } catch {
    // There is nobody left.
  }
}

/** Of cloudflared, ngrok, localtunnel, localhost.run, Serveo, Pinggy, Tailscale, dev tunnels. */
const tunnelHosts =
  /\.(trycloudflare\.com|cfargotunnel\.com|ngrok(-free)?\.(app|dev|io|pro|pizza)|loca\.lt|lhr\.(life|rocks|domains)|serveo(usercontent)?\.(net|com)|(free\.)?pinggy(-free)?\.(link|online)|ts\.net|devtunnels\.ms)$/;

/** Their own sites, and what else tunnels print links to. */
const otherHosts =
  /^(www|docs?|developers?|dash|dashboard|login|admin|api|support|status|blog|help|console|errors)\.|(^|\.)(cloudflare\.com|ngrok\.com|github\.com|gitlab\.com|localtunnel\.(me|github\.io)|npmjs\.com|nodejs\.org|twitter\.com|x\.com|discord\.gg)$|^(localhost\.run|serveo\.net|pinggy\.io|localhost|127\..*|\[.*|0\.0\.0\.0)$/;

/** The tunnel's public address in a line of its output: no link to documentation, terms, a dashboard or itself. */
function tunnelUrlIn(line: string): URL | undefined {
  const urls = (line.match(/https:\/\/[^\s"'`<>|,;()[\]{}]+/gi) ?? [])
    .map((text) => text.replace(/[.:!?*_\\]+$/, ''))
    .filter((text) => URL.canParse(text))
    .map((text) => new URL(text));
  return urls.find(isKnownTunnel) ?? urls.find(isBareOrigin);
}

function isKnownTunnel({ hostname }: URL): boolean {
  return tunnelHosts.test(hostname) && !otherHosts.test(hostname);
}

/** A tunnel with a name of the user's own. Links to something about it have a path. */
function isBareOrigin({ hostname, pathname, search, hash }: URL): boolean {
  return pathname === '/' && search === '' && hash === '' && hostname.includes('.') && !otherHosts.test(hostname);
}
