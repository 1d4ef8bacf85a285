/** Workflows run only on GitHub, but the names in them can be checked here. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}

interface Job {
  readonly needs?: string;
  readonly permissions?: Readonly<Record<string, string>>;
  readonly 'timeout-minutes'?: number;
  readonly steps: readonly Step[];
}

interface Workflow {
  readonly permissions?: Readonly<Record<string, string>>;
  readonly concurrency?: object;
  readonly jobs: Readonly<Record<string, Job>>;
}

const folder = '.github/workflows';
const require = createRequire(import.meta.url);
// TypeDoc's own, which need not be visible from here.
const { parse } = createRequire(require.resolve('typedoc'))('yaml') as { parse(text: string): Workflow };

const workflows = readdirSync(folder).map((file) => {
  const text = readFileSync(join(folder, file), 'utf8');
  return { file, text, workflow: parse(text) };
});
const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> };

const jobsOf = ({ jobs }: Workflow) => Object.entries(jobs);
const commandsOf = (workflow: Workflow) =>
  jobsOf(workflow).flatMap(([, { steps }]) =>
    steps.flatMap((step) => [step.run, step.with?.version]).filter((command) => typeof command === 'string'),
  );

describe.each(workflows)('the workflow $file', ({ text, workflow }) => {
  const commands = commandsOf(workflow);

  it('runs only scripts that package.json has', () => {
    const named = commands.flatMap((command) => [...command.matchAll(/npm run ([\w:-]+)/g)].map(([, name]) => name));
    expect(named).not.toEqual([]);
    expect(named.filter((name) => !Object.hasOwn(scripts, name ?? ''))).toEqual([]);
  });

  it('names only files that are there', () => {
    const named = commands.flatMap(
      (command) => command.match(/(?<![\w/'])(\.ci|scripts|test|node_modules)\/[\w./-]+/g) ?? [],
    );
    expect(named).not.toEqual([]);
    expect(named.filter((file) => !existsSync(file))).toEqual([]);
  });

  it('runs only commands of installed packages', () => {
    const named = commands.flatMap((command) => [...command.matchAll(/npx ([\w-]+)/g)].map(([, name]) => name));
    expect(named.filter((name) => !existsSync(join('node_modules/.bin', name ?? '')))).toEqual([]);
  });

  it('uses actions by their commit, and says which version that is', () => {
    const used = text.match(/uses: .*/g) ?? [];
    expect(used.filter((line) => !/^uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(line))).toEqual([]);
  });

  it('uses the same version of an action everywhere', () => {
    const used = new Set(workflows.flatMap((each) => each.text.match(/uses: .*/g) ?? []));
    expect(new Set([...used].map((line) => line.split('@')[0])).size).toBe(used.size);
  });

  it('may write only where a job declares it', () => {
    expect(Object.values(workflow.permissions ?? { all: 'write' })).not.toContain('write');
  });

  it('ends: no two at once, and no job without a limit of time', () => {
    expect(workflow.concurrency).toBeDefined();
    expect(jobsOf(workflow).filter(([, job]) => !job['timeout-minutes'])).toEqual([]);
  });

  it('waits only for jobs that there are', () => {
    const awaited = jobsOf(workflow).flatMap(([, { needs }]) => needs ?? []);
    expect(awaited.filter((name) => !Object.hasOwn(workflow.jobs, name))).toEqual([]);
  });
});

describe('a release', () => {
  const [release] = workflows.filter(({ file }) => file === 'release.yml');
  const jobs = release?.workflow.jobs ?? {};
  const allJobs = workflows.flatMap((each) => jobsOf(each.workflow));
  const secretsIn = (job: Job): string[] => JSON.stringify(job).match(/secrets\.\w+/g) ?? [];

  it('lets only the job that publishes sign a package', () => {
    expect(allJobs.filter(([, { permissions }]) => permissions?.['id-token']).map(([name]) => name)).toEqual([
      'publish',
    ]);
  });

  it('passes the npm token only to the job that publishes', () => {
    expect(allJobs.filter(([, job]) => secretsIn(job).includes('secrets.NPM_TOKEN')).map(([name]) => name)).toEqual([
      'publish',
    ]);
  });

  it('publishes the build of another job, and runs only npm', () => {
    const { steps = [], needs, permissions } = jobs.publish ?? {};
    expect(needs).toBe('package');
    expect(permissions).toEqual({ 'id-token': 'write' });
    expect(steps.flatMap(({ uses }) => uses?.split('@')[0] ?? [])).toEqual([
      'actions/download-artifact',
      'actions/setup-node',
    ]);
    expect(steps.flatMap(({ run }) => run ?? [])).toEqual([
      'npm publish ./*.tgz --ignore-scripts --provenance --access public',
    ]);
  });

  it('builds and tests without credentials', () => {
    const job = jobs.package;
    const commands = job?.steps.flatMap(({ run }) => run ?? []).join('\n') ?? '';
    for (const command of ['npm ci', 'npm test', 'npm run check:package']) expect(commands).toContain(command);
    expect(job?.permissions).toEqual({ contents: 'read' });
    expect(job && secretsIn(job)).toEqual([]);
    expect(job?.steps.find(({ uses }) => uses?.startsWith('actions/checkout@'))?.with).toEqual({
      'persist-credentials': false,
    });
  });
});

describe('scripts/set-repository.mjs', () => {
  it('writes the addresses that the registry shows', () => {
    const folder = mkdtempSync(join(tmpdir(), 'vast-webhook-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    writeFileSync(join(folder, 'package.json'), '{"name": "vast-webhook"}');
    const env = { GITHUB_SERVER_URL: 'https://example.com', GITHUB_REPOSITORY: 'owner/name' };
    execFileSync(process.execPath, [resolve('scripts/set-repository.mjs')], { cwd: folder, env });
    expect(JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))).toEqual({
      name: 'vast-webhook',
      homepage: 'https://example.com/owner/name#readme',
      repository: { type: 'git', url: 'git+https://example.com/owner/name.git' },
      bugs: { url: 'https://example.com/owner/name/issues' },
    });
  });
});

describe('.ci/run', () => {
  it('runs only scripts and files that are there', () => {
    const text = readFileSync('.ci/run', 'utf8');
    const named = [...text.matchAll(/npm run ([\w:-]+)/g)].map(([, name]) => name);
    expect(named.filter((name) => !Object.hasOwn(scripts, name ?? ''))).toEqual([]);
    expect((text.match(/(?<![\w/'])scripts\/[\w./-]+/g) ?? []).filter((file) => !existsSync(file))).toEqual([]);
  });
});
