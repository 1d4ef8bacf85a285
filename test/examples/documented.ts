import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { type SignedDeliveryOptions, signedDelivery } from '../../src/testing/index.js';
import { type Checkout, checkout, type Program } from './checkout.js';

export const secret = 'a-secret-of-the-tests';

export interface Started {
  readonly program: Program;
  /** The endpoint's. */
  readonly url: string;
}

/** The examples, run by the commands of their READMEs in a checkout for the tests of this file. */
export function documentedExamples() {
  let project: Checkout;
  const running = new Set<Program>();

  beforeAll(async () => {
    project = await checkout();
  });
  afterAll(() => project?.remove());
  afterEach(async () => {
    for (const program of running) program.kill('SIGKILL');
    await Promise.all([...running].map(({ exited }) => exited));
    running.clear();
  });

  /** `file` names the command, where the README documents several. */
  async function run(example: string, env: Record<string, string>, file = '', ...more: string[]): Promise<Program> {
    const { steps, start } = await commandOf(example, file);
    expect(steps).toEqual([]);
    // node:sqlite says of itself that it is experimental.
    const program = project.start([...start, ...more], { NODE_NO_WARNINGS: '1', ...env });
    running.add(program);
    return program;
  }

  /** Runs the command on a free port, up to where it says its address, by itself or as its framework does. */
  async function start(
    example: string,
    env: Record<string, string>,
    file?: string,
    listening = /^Listening on (http:\S+)$/m,
  ): Promise<Started> {
    const program = await run(example, { VAST_WEBHOOK_SECRET: secret, PORT: '0', ...env }, file);
    const [, url = ''] = await program.printed(listening);
    return { program, url: new URL('/vast/webhooks', url).href };
  }

  return { project: () => project, run, start };
}

export async function readmeOf(example: string): Promise<string> {
  return readFile(new URL(`../../examples/${example}/README.md`, import.meta.url), 'utf8');
}

/** The arguments of `node` in the README's command after `npm run build`. The last ones start the example. */
export async function commandOf(example: string, file = ''): Promise<{ steps: string[][]; start: string[] }> {
  const commands = [...(await readmeOf(example)).matchAll(/^```sh\n(.*)\n```$/gm)]
    .map(([, command]) => command ?? '')
    .filter((command) => command.includes(file));
  expect(commands).toHaveLength(1);
  const [build, ...rest] = commands[0]?.split(' && ') ?? [];
  expect(build).toBe('npm run build');
  const steps = rest.map(argumentsOfNode);
  return { start: steps.pop() ?? [], steps };
}

function argumentsOfNode(command: string): string[] {
  const [program, first = '', ...args] = command.split(' ');
  if (program === 'npx') return [`node_modules/.bin/${first}`, ...args];
  expect(program).toBe('node');
  return [first, ...args];
}

export function send(url: string, event: object, options?: SignedDeliveryOptions): Promise<Response> {
  const { body, headers } = signedDelivery(event, secret, options);
  return fetch(url, { method: 'POST', body, headers });
}

export async function expectCleanStop(program: Program, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  program.kill(signal);
  expect(await program.exited).toBe(0);
  expect(program.stderr).toBe('');
}
