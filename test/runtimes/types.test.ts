import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, inject, it } from 'vitest';
import { entries, subpathOf } from '../../scripts/entries.mjs';

const project = inject('runtimesProject');
const compilers = { '5.2': 'typescript52', '5.9': 'typescript59', '6': 'typescript6', '7': 'typescript7' } as const;
type Compiler = keyof typeof compilers;

/** The package's entries, each one named. */
const everyEntry = entries
  .map((entry, i) => `export * as entry${i} from '${['vast-webhook', subpathOf(entry)].filter(Boolean).join('/')}';`)
  .join('\n');

/** What a service without Node.js's types writes. Its event and its bytes are typed. */
const fetchEntry = `import { vastWebhook } from 'vast-webhook/fetch';
const hook = vastWebhook('a-secret', {}, ({ event, delivery }) => {
  const bytes: Uint8Array = delivery.rawBody;
  // @ts-expect-error: it is no any
  const number: number = delivery.rawBody;
  return new Response(event.notif_type + bytes.length + number);
});
export default { fetch: (request: Request) => hook(request) };
`;

/** Those that need no types of Node.js: all but the Express and Koa forms. */
const withoutNode = entries
  .map((entry) => ['vast-webhook', subpathOf(entry)].filter(Boolean).join('/'))
  .filter((name) => !/^vast-webhook(\/(provider|shodai|v0))?(\/koa)?$/.test(name))
  .map((name, i) => `export * as entry${i} from '${name}';`)
  .join('\n');

/** The errors of a compilation with `tsc`, in a folder of its own. */
async function errorsOf(name: string, compiler: Compiler, source: string, options: object): Promise<string[]> {
  const folder = join(project, `types ${name}`);
  await mkdir(folder);
  const compilerOptions = {
    noEmit: true,
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    target: 'es2022',
    ...options,
  };
  await writeFile(join(folder, 'app.ts'), source);
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['app.ts'] }));
  const args = [join(project, 'node_modules', compilers[compiler], 'bin/tsc'), '-p', folder, '--pretty', 'false'];
  return linesOf(promisify(execFile)(process.execPath, args, { cwd: project }));
}

async function linesOf(run: Promise<{ stdout: string }>): Promise<string[]> {
  const output = await run.then(
    ({ stdout }) => stdout,
    ({ stdout, stderr, message }) => stdout + stderr || message,
  );
  return output.split('\n').filter(Boolean);
}

describe.each(Object.keys(compilers) as Compiler[])('TypeScript %s', (compiler) => {
  it.each([
    ['node16', 'node16'],
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ])('compiles every entry, as %s with the resolution %s', async (module, moduleResolution) => {
    const options = { module, moduleResolution, lib: ['es2022'], types: ['node'], skipLibCheck: true };
    expect(await errorsOf(`${compiler} ${moduleResolution}`, compiler, everyEntry, options)).toEqual([]);
  });
});

describe.each<Compiler>(['5.2', '6', '7'])(
  'TypeScript %s, with skipLibCheck off and without @types/node,',
  (compiler) => {
    it.each([
      ['the DOM’s', ['es2022', 'dom'], []],
      ['@cloudflare/workers-types', ['es2022'], ['@cloudflare/workers-types']],
    ])('compiles the entries without Express and Koa beside %s types', async (_, lib, types) => {
      const options = { module: 'nodenext', lib, types, skipLibCheck: false };
      expect(await errorsOf(`${compiler} ${lib}`, compiler, `${fetchEntry}${withoutNode}`, options)).toEqual([]);
    });
  },
);

it('the fetch entry compiles beside Bun’s types', async () => {
  const options = { module: 'nodenext', lib: ['es2022'], types: ['bun'], skipLibCheck: true };
  expect(await errorsOf('bun', '7', fetchEntry, options)).toEqual([]);
});

it.skipIf(!inject('runtimes').Deno)('the fetch entry compiles with Deno’s compiler', async () => {
  const file = join(project, 'deno-types.ts');
  await writeFile(file, fetchEntry);
  const deno = inject('runtimes').Deno as string;
  const env = { ...process.env, NO_COLOR: '1' };
  expect((await linesOf(promisify(execFile)(deno, ['check', file], { cwd: project, env }))).filter(isError)).toEqual(
    [],
  );
});

function isError(line: string): boolean {
  return /error/i.test(line);
}
