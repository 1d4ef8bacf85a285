import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { installRuntimes } from '../test/runtimes/install.mjs';
import { Child } from './child.mjs';
import { goals, heading, keep, median, pairedRatios, table } from './report.mjs';
import { inTurns, turns } from './turns.mjs';

const connections = 16;
const forms = {
  ours: 'vastWebhook(secret, {}, handler)',
  'web-crypto': 'by hand with Web Crypto: crypto.subtle.verify, of a key that is imported once',
  'node-crypto': 'by hand with createHmac and timingSafeEqual of node:crypto',
};

/** How each runtime serves a function, and the arguments that start it. */
const runtimes = {
  Bun: {
    program: '@oven/bun-linux-x64-baseline/bin/bun',
    args: ['bun.mjs'],
    serve: 'console.log("port", Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: service() }).port);',
  },
  Deno: {
    program: '@deno/linux-x64-glibc/deno',
    args: ['run', '-A', 'deno.mjs'],
    serve: 'console.log("port", Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, service()).addr.port);',
  },
  workerd: {
    program: '@cloudflare/workerd-linux-64/bin/workerd',
    args: ['serve', 'workerd.capnp', '--control-fd=1'],
    serve: 'export default { fetch: service() };',
  },
};

/** Without Miniflare, which has a worker of its own in front. */
const workerdConfig = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "bench", worker = (
    modules = [(name = "worker", esModule = embed "workerd.mjs")],
    compatibilityDate = "2026-08-01",
    compatibilityFlags = ["nodejs_compat"],
  ))],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "bench")],
);
`;

/** The middleware beside a handler by hand, on the server of each runtime, over sockets. */
export async function onRuntimes(quick) {
  const { rounds, deliveries } = quick ? { rounds: 6, deliveries: 2000 } : { rounds: 30, deliveries: 4000 };
  heading(
    `Runtimes: ${rounds} rounds of ${deliveries.toLocaleString('en')} deliveries over ${connections} loopback connections`,
  );
  const modules = await installRuntimes();
  const folder = await mkdtemp(join(tmpdir(), 'vast-webhook-'));
  const generator = new Child('load-generator.mjs');
  try {
    await symlink(modules, join(folder, 'node_modules'), 'dir');
    await writeFile(join(folder, 'workerd.capnp'), workerdConfig);
    for (const [name, runtime] of Object.entries(runtimes)) report(name, await measure(name, runtime));
  } finally {
    generator.end();
    await rm(folder, { recursive: true, force: true });
  }

  async function measure(name, { program, args, serve }) {
    await build({
      stdin: {
        contents: `import { service } from './runtime-service.mjs';\n${serve}`,
        resolveDir: fileURLToPath(new URL('.', import.meta.url)),
      },
      outfile: join(folder, `${name.toLowerCase()}.mjs`),
      bundle: true,
      format: 'esm',
      platform: 'node',
      logLevel: 'error',
    });
    const servers = new Map();
    try {
      // A process for each, or they would collect each other's garbage.
      for (const form of Object.keys(forms)) servers.set(form, await start(join(modules, program), args));
      const results = [];
      // The first two rounds make connections and machine code.
      for (let round = -2; round < rounds; round++) {
        const cpu = {};
        const ms = await inTurns(servers, async ({ port, cpuTime }, form) => {
          const before = await cpuTime.ms();
          const { ms } = await generator.ask({ port, connections, deliveries: deliveries / turns, path: `/${form}` });
          cpu[form] = (cpu[form] ?? 0) + (await cpuTime.ms()) - before;
          return ms;
        });
        if (round >= 0) results.push({ ms, cpu });
      }
      return results;
    } finally {
      for (const { child } of servers.values()) {
        child.kill('SIGTERM');
        await once(child, 'exit');
      }
    }
  }

  async function start(program, args) {
    const child = spawn(program, args, { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(createInterface(child.stdout), 'line');
    return { child, cpuTime: new CpuTime(child.pid), port: Number(/\bport\b\D*(\d+)/.exec(line)[1]) };
  }

  function report(name, results) {
    table(
      Object.keys(forms).map((form) => {
        const rate = median(results.map(({ ms }) => (1000 * deliveries) / turns / ms[form]));
        const micros = median(results.map(({ cpu }) => (1000 * cpu[form]) / deliveries));
        keep({ name: `${name}, ${form}`, value: rate, unit: 'requests/s' });
        keep({ name: `${name}, ${form}, CPU`, value: micros, unit: 'µs' });
        return [
          `${name}, ${form}`,
          `${Math.round(rate).toLocaleString('en')}/s`,
          `${micros.toFixed(1)} µs`,
          forms[form],
        ];
      }),
      ['left', 'right', 'right', 'left'],
    );
    console.log();
    const pairs = ['web-crypto', 'node-crypto'].flatMap((form) => [
      {
        form,
        what: 'time',
        values: pairedRatios(
          results.map(({ ms }) => ms),
          'ours',
          form,
        ),
      },
      {
        form,
        what: 'CPU',
        values: pairedRatios(
          results.map(({ cpu }) => cpu),
          'ours',
          form,
        ),
      },
    ]);
    goals(pairs.map(({ form, what, values }) => ({ name: `${name}: ${what} of ours / ${form}`, values, atMost: 0.9 })));
    console.log();
  }
}

/** CPU time of all threads of a process, also of those that have ended. */
class CpuTime {
  #ns = new Map();
  #folder;

  constructor(pid) {
    this.#folder = `/proc/${pid}/task`;
  }

  async ms() {
    for (const thread of await readdir(this.#folder)) {
      // One that ends just now leaves what was read last.
      const text = await readFile(`${this.#folder}/${thread}/schedstat`, 'utf8').catch(() => undefined);
      if (text !== undefined) this.#ns.set(thread, Number(text.split(' ')[0]));
    }
    return [...this.#ns.values()].reduce((sum, ns) => sum + ns, 0) / 1e6;
  }
}
