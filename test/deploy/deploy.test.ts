import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { OutgoingHttpHeaders } from 'node:http';
import { request } from 'node:https';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { signedDelivery } from '../../src/testing/index.js';
import { type Installed, installed } from '../cli/installed.js';
import { anEvent, deliver, secret, serving } from '../cli/serving.js';
import { Program } from '../examples/checkout.js';
import { stagesOf, wordsOf } from './dockerfile.js';

const root = resolve('deploy');
const read = (file: string) => readFileSync(join(root, file), 'utf8');

interface Resource {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  // biome-ignore lint/suspicious/noExplicitAny: the schema is what this test is about
  readonly spec: any;
}

const manifests = ['vast-webhook.yaml', 'redis.yaml'].flatMap((file) =>
  parseAllDocuments(read(`kubernetes/${file}`)).map((document) => document.toJS() as Resource),
);

describe('the Dockerfile', () => {
  let command: Installed;
  beforeAll(async () => {
    command = await installed();
  });
  afterAll(() => command?.remove());

  it('runs, instruction by instruction, in a clean folder', async () => {
    const port = await freePort();
    const stages = stagesOf(join(root, 'Dockerfile'));
    // By what `npm install` gives. The rest of each instruction is run as it stands there.
    const project = await command.projectWith('ioredis');
    const folder = mkdtempSync(join(tmpdir(), 'vast-webhook-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const { uid, gid } = { uid: process.getuid?.(), gid: process.getgid?.() };
    const images = new Map<string, string>();
    let last = { workdir: '', env: {} as Record<string, string>, user: '', exec: {} as Record<string, string[]> };
    for (const [index, stage] of stages.entries()) {
      const image = join(folder, String(index));
      const inside = (path: string) => join(image, path.startsWith('/') ? path : join(last.workdir, path));
      mkdirSync(image);
      last = { workdir: '/', env: {}, user: 'root', exec: {} };
      for (const instruction of stage) {
        const { name, value } = instruction;
        if (name === 'FROM') {
          const [, base, alias = ''] = /^(\S+)(?: AS (\S+))?$/.exec(value) ?? [];
          expect(base).toMatch(/^node:22(-slim)?$/);
          images.set(alias, image);
        } else if (name === 'WORKDIR') {
          last.workdir = value;
          mkdirSync(inside('.'), { recursive: true });
        } else if (name === 'ENV') {
          const [key = '', text = ''] = value.split('=');
          last.env[key] = text;
        } else if (name === 'COPY') {
          const [, from, source = '', target = ''] = /^(?:--from=(\S+) )?(\S+) (\S+)$/.exec(value) ?? [];
          const origin = from === undefined ? join(root, source) : join(images.get(from) ?? '', source);
          const destination = target.endsWith('/') ? join(inside(target), source) : inside(target);
          cpSync(origin, destination, { recursive: true });
        } else if (name === 'RUN' && value.startsWith('npm install')) {
          const { dependencies } = JSON.parse(readFileSync(inside('package.json'), 'utf8'));
          expect(Object.keys(dependencies)).toEqual(['ioredis', 'vast-webhook']);
          cpSync(join(project, 'node_modules'), inside('node_modules'), { recursive: true });
        } else if (name === 'RUN') {
          const shell = value.replaceAll('node:node', `${uid}:${gid}`);
          execFileSync('/bin/sh', ['-c', shell], { cwd: inside('.') });
        } else if (name === 'USER') last.user = value;
        else if (name === 'CMD' || name === 'HEALTHCHECK') last.exec[name] = wordsOf(instruction);
        else if (name === 'VOLUME') expect(existsSync(join(image, value))).toBe(true);
        else expect(['EXPOSE', `EXPOSE 8787`]).toContain(name);
      }
      if (index === stages.length - 1) await serves(inside('.'));
    }

    async function serves(cwd: string): Promise<void> {
      expect(last.user).toBe('node');
      // Other tests may use the port, so each command has another one in its place.
      const [program = '', ...args] = (last.exec.CMD ?? []).map((word) => word.replace('8787', String(port)));
      const [checker = '', ...checkArgs] = (last.exec.HEALTHCHECK ?? []).map((word) =>
        word.replace('8787', String(port)),
      );
      expect([program, checker]).toEqual(['node', 'node']);
      const healthy = () => spawnSync(process.execPath, checkArgs, { timeout: 30_000 }).status;
      expect(healthy()).toBe(1);
      const env = { ...last.env, VAST_WEBHOOK_SECRET: secret };
      const running = new Program([...args, '--log-events'], cwd, env);
      onTestFinished(() => running.kill('SIGKILL'));
      await running.printed(/listening on/);
      expect(healthy()).toBe(0);
      expect((await deliver(`http://127.0.0.1:${port}/vast/webhooks`)).status).toBe(204);
      const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
      expect(metrics).toContain('vast_webhook_deliveries_total{provider="vast",result="accepted"} 1');
      expect(metrics).toContain('process_cpu_seconds_total');
      for (const line of running.stdout.trimEnd().split('\n')) expect(JSON.parse(line)).toHaveProperty('time');
      running.kill('SIGTERM');
      expect(await running.exited).toBe(0);
    }
  }, 120_000);

  it('sends nothing of the folder but its manifest', () => {
    expect(read('.dockerignore')).toBe('*\n!package.json\n');
  });
});

describe('the Kubernetes manifests', () => {
  it.each(manifests.map((each) => [`${each.kind} ${each.metadata.name}`, each] as const))(
    '%s keeps to the schema',
    async (_name, resource) => {
      await validate(resource);
      const wrong = structuredClone(resource);
      Object.assign(wrong.spec, { selector: 5, rules: 5 });
      await expect(validate(wrong)).rejects.toThrow();
    },
  );

  it('have two replicas that stay until their work is done, and probes that ask the right question', () => {
    const { spec } = manifests.find(({ kind }) => kind === 'Deployment') as Resource;
    expect(spec.replicas).toBe(2);
    expect(spec.strategy.rollingUpdate.maxUnavailable).toBe(0);
    const [container] = spec.template.spec.containers;
    expect([container.livenessProbe, container.readinessProbe].map((probe) => probe.httpGet.path)).toEqual([
      '/health',
      '/ready',
    ]);
    // The store may take 2 s, preStop 5, and what is running 9.
    expect(container.readinessProbe.timeoutSeconds).toBeGreaterThan(2);
    expect(spec.template.spec.terminationGracePeriodSeconds).toBeGreaterThan(5 + 9);
  });

  it('name what the others name', () => {
    const names = manifests.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    const text = manifests.map((each) => JSON.stringify(each)).join();
    for (const [, host] of text.matchAll(/redis:\/\/([\w-]+):6379/g)) expect(names).toContain(`Service ${host}`);
    for (const { kind, spec } of manifests) {
      if (kind !== 'Service') continue;
      expect(manifests.some((each) => each.spec.template?.metadata.labels.app === spec.selector.app)).toBe(true);
    }
  });
});

async function validate(resource: Resource): Promise<void> {
  const models = await import(/* @vite-ignore */ `kubernetes-models/${resource.apiVersion}/${resource.kind}`);
  new models[resource.kind](resource).validate();
}

describe('compose.yaml', () => {
  it('mounts files that are there, and passes on by the names of its services', () => {
    const { services, volumes } = parse(read('compose.yaml'));
    for (const { volumes: mounts = [], depends_on: needs = {} } of Object.values<Record<string, never>>(services)) {
      for (const mount of mounts as string[]) {
        const [source = ''] = mount.split(':');
        expect(source.startsWith('./') ? existsSync(join(root, source)) : source in volumes).toBe(true);
      }
      for (const name of Array.isArray(needs) ? needs : Object.keys(needs)) expect(services).toHaveProperty(name);
    }
    expect(services['vast-webhook'].environment.VAST_WEBHOOK_STORE).toBe('redis://redis:6379');
    expect(services.caddy.environment.UPSTREAM).toBe('vast-webhook:8787');
  });
});

const systemdAnalyze = spawnSync('systemd-analyze', ['--version']).status === 0;

describe('the systemd unit', () => {
  it.runIf(systemdAnalyze)('is taken by systemd-analyze verify', () => {
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', join(root, 'systemd/vast-webhook.service')]);
    expect([status, String(stderr)]).toEqual([0, '']);
  });

  it('starts what the package has, with options that serve knows, and waits for it to end', async () => {
    const unit = read('systemd/vast-webhook.service');
    const [, path = '', args = ''] = /ExecStart=\/usr\/bin\/env node \/opt\/vast-webhook\/(\S+) (.*)/.exec(unit) ?? [];
    const { bin } = JSON.parse(readFileSync('package.json', 'utf8'));
    expect(relative('node_modules/vast-webhook', path)).toBe(bin['vast-webhook']);
    expect(args).toBe('serve --outbox outbox.db --log json');
    expect(Number(/TimeoutStopSec=(\d+)/.exec(unit)?.[1])).toBeGreaterThan(9);
  });
});

describe('the proxies in front', () => {
  it.each(['Caddyfile', 'nginx.conf'])('%s lets deliveries through, and no page of the inside', (file) => {
    const text = read(file);
    expect(text).toContain('/vast/webhooks');
    expect(text.replace(/^\s*#.*$/gm, '')).not.toMatch(/\/ready|\/metrics|\/health/);
    expect(text).toMatch(/return 404|respond 404/);
  });

  const nginx = spawnSync('nginx', ['-v']).status === 0;

  it.runIf(nginx)('nginx passes deliveries on byte by byte, and nothing else', async () => {
    const { url, stop } = await serving(['--log-events']);
    const site = await nginxBeside(new URL(url).port);
    const event = anEvent({ message: 'Größe — 3\u20ac' });
    const { body, headers } = signedDelivery(event, secret);
    expect(await site.post('/vast/webhooks', body, headers)).toBe(204);
    const large = signedDelivery(anEvent({ message: 'x'.repeat(900_000) }), secret);
    expect(await site.post('/vast/webhooks', large.body, large.headers)).toBe(204);
    expect(await site.post('/vast/webhooks', `${body} `, headers)).toBe(401);
    expect(await site.post('/vast/webhooks', Buffer.alloc(1_100_000, 'x'), headers)).toBe(413);
    for (const path of ['/ready', '/metrics', '/health', '/vast/webhooks/', '/x']) {
      expect([path, await site.post(path, body, headers)]).toEqual([path, 404]);
    }
    await stop();
    // Sent again by the sender.
    expect(await site.post('/vast/webhooks', body, headers)).toBe(502);
  });
});

/** nginx in front of `serve`, with a certificate made for it and the ports of the test. */
async function nginxBeside(upstream: string) {
  const folder = mkdtempSync(join(tmpdir(), 'vast-webhook-'));
  const port = String(await freePort());
  const certificate = ['-newkey', 'rsa:2048', '-nodes', '-keyout', 'privkey.pem', '-out', 'fullchain.pem'];
  const openssl = ['req', '-x509', ...certificate, '-subj', '/CN=hooks.example.com'];
  execFileSync('openssl', openssl, { cwd: folder, stdio: 'ignore' });
  const site = read('nginx.conf')
    .replaceAll('/etc/letsencrypt/live/hooks.example.com', folder)
    .replace('listen 443', `listen 127.0.0.1:${port}`)
    .replace('127.0.0.1:8787', `127.0.0.1:${upstream}`);
  writeFileSync(join(folder, 'site.conf'), site);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${folder}/${kind};`,
  );
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; pid ${folder}/pid; events {}
    http { access_log off; ${temporary.join(' ')} include ${folder}/site.conf; }`,
  );
  const options = ['-e', join(folder, 'error'), '-c', join(folder, 'nginx.conf')];
  expect(spawnSync('nginx', ['-t', ...options]).stderr.toString()).toContain('successful');
  const running = spawn('nginx', options, { stdio: 'ignore' });
  onTestFinished(async () => {
    running.kill('SIGKILL');
    await once(running, 'close');
    rmSync(folder, { recursive: true, force: true });
  });
  const post = async (path: string, body: string | Uint8Array, headers: OutgoingHttpHeaders) => {
    const [host, agent] = ['127.0.0.1', false] as const;
    const sent = request({ host, port, path, headers, agent, method: 'POST', rejectUnauthorized: false }).end(body);
    const [{ statusCode }] = await once(sent, 'response');
    return statusCode;
  };
  await vi.waitFor(() => post('/', '', {}), { timeout: 60_000 });
  return { post };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  const { port } = server.address() as { port: number };
  await new Promise((done) => server.close(done));
  return port;
}
