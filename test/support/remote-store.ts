import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { ClaimResult, IdempotencyStore } from '../../src/contracts/store.js';
import type { Answer, Request } from './remote-store-child.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const childScript = fileURLToPath(new URL('remote-store-child.ts', import.meta.url));

/** The result of a factory: a store, and a function that closes it. */
export interface MadeStore {
  readonly store: IdempotencyStore;
  close?(): unknown;
}

/** A store in a process of its own, which is asked over IPC. */
export interface RemoteStore extends IdempotencyStore {
  /** Closes the store there and ends its process. */
  close(): Promise<void>;
  /** Ends the process as a crash does. Unanswered and later calls reject. */
  kill(): Promise<void>;
}

/**
 * Starts a process and has the TypeScript `module`'s function `exportName` make a store there of `args`, which go
 * through structured cloning. The module and what it imports by path are bundled, so that any Node.js runs it;
 * packages are this project's.
 */
export async function remoteStore(
  module: URL,
  exportName: string,
  args?: unknown,
  { maxFileKilobytes = 'unlimited' }: { readonly maxFileKilobytes?: number | 'unlimited' } = {},
): Promise<RemoteStore> {
  const code = await bundle(module, exportName);
  const node = [process.execPath, '--enable-source-maps', '--input-type=module'];
  const limited = ['bash', '-c', `ulimit -f ${maxFileKilobytes} && exec "$@"`, 'bash', ...node];
  const [command = '', ...rest] = maxFileKilobytes === 'unlimited' ? node : limited;
  const child = spawn(command, rest, {
    cwd: root,
    stdio: ['pipe', 'inherit', 'inherit', 'ipc'],
    serialization: 'advanced',
  });
  const exited = once(child, 'exit');
  const ask = connect(child);
  const kill = async () => {
    child.kill('SIGKILL');
    await exited;
  };
  child.stdin?.end(code);
  try {
    await ask('make', args);
  } catch (error) {
    await kill();
    throw error;
  }
  return {
    claim: (...args) => ask('claim', ...args) as Promise<ClaimResult>,
    renew: (...args) => ask('renew', ...args) as Promise<boolean>,
    delivered: (...args) => ask('delivered', ...args) as Promise<boolean>,
    complete: (...args) => ask('complete', ...args) as Promise<boolean>,
    release: (...args) => ask('release', ...args) as Promise<boolean>,
    kill,
    async close() {
      try {
        if (child.connected) await ask('close');
      } finally {
        // It ends when no caller is left.
        if (child.connected) child.disconnect();
        await exited;
      }
    },
  };
}

function connect(child: ChildProcess): (operation: Request['operation'], ...args: unknown[]) => Promise<unknown> {
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: unknown): void }>();
  let asked = 0;
  let end: Error | undefined;
  child.on('message', ({ id, value, error }: Answer) => {
    const call = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) call?.resolve(value);
    else call?.reject(error);
  });
  child.on('exit', (code, signal) => {
    end = new Error(`the remote store's process has ended with ${signal ?? `status ${code}`}`);
    for (const { reject } of waiting.values()) reject(end);
    waiting.clear();
  });
  return (operation, ...args) =>
    new Promise((resolve, reject) => {
      if (end) throw end;
      const id = ++asked;
      waiting.set(id, { resolve, reject });
      child.send({ id, operation, args } satisfies Request, (error) => error && reject(error));
    });
}

async function bundle(module: URL, exportName: string): Promise<string> {
  const contents = `
    import { serve } from ${JSON.stringify(childScript)};
    import { ${exportName} as make } from ${JSON.stringify(fileURLToPath(module))};
    serve(make);`;
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: root },
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: 'inline',
    write: false,
  });
  return outputFiles[0]?.text ?? '';
}
