import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../src/cli/program.js';
import { fakeIo } from '../support/io.js';
import { type Block, codeSpansOf, type Page, root } from './markdown.js';

const { scripts, devDependencies, dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** A command line of a page: its words, without what is assigned before it. */
export interface CommandLine {
  readonly at: string;
  readonly words: readonly string[];
}

const word = /(?:'[^']*'|"[^"]*"|[^\s'"|&;])+|&&|\|\|?|;/g;
const separators = ['&&', '||', '|', ';'];

export function commandLinesOf({ page, code, line }: Block): CommandLine[] {
  return code
    .split('\n')
    .flatMap((text, index) => commandsIn(text).map((words) => ({ at: `${page.path}:${line + index}`, words })));
}

/** Commands that stand in the text between backticks. */
export function commandSpansOf(page: Page): CommandLine[] {
  return codeSpansOf(page)
    .filter(({ code }) => /(^|\s)(vast-webhook [a-z]|npx |npm run )/.test(code))
    .flatMap(({ code, line }) => commandsIn(code).map((words) => ({ at: `${page.path}:${line}`, words })));
}

function commandsIn(text: string): string[][] {
  const commands: string[][] = [[]];
  for (const [part] of text.matchAll(word)) {
    const command = commands.at(-1) as string[];
    if (part.startsWith('#')) break;
    if (separators.includes(part)) commands.push([]);
    else if (command.length > 0 || !/^[A-Z_]+=/.test(part)) command.push(part);
  }
  return commands.filter((words) => words.length > 0);
}

/** What the reader would stumble on, as `README.md:12: ...`. */
export async function faultsOf({ at, words }: CommandLine): Promise<string[]> {
  const [program = '', ...args] = words;
  const check = program.endsWith('/.bin/vast-webhook')
    ? vastWebhook
    : program.includes('/')
      ? () => missingFile(program)
      : checks[program];
  if (check === undefined) return [`${at}: ${program} is not a command that the pages may use`];
  return (await check(args)).map((fault) => `${at}: ${fault}`);
}

type Check = (args: readonly string[]) => string[] | Promise<string[]>;

const checks: Readonly<Record<string, Check>> = {
  npm: ([verb = '', ...args]) => {
    if (verb === 'run')
      return args[0] !== undefined && Object.hasOwn(scripts, args[0]) ? [] : [`there is no npm script ${args[0]}`];
    if (verb === 'install') return args.flatMap(notInstalled);
    return ['ci', 'test', 'publish'].includes(verb) ? [] : [`npm ${verb}`];
  },
  npx: ([program = '', ...args]) =>
    program === 'vast-webhook' ? vastWebhook(args) : missingFile(`node_modules/.bin/${program}`),
  'vast-webhook': vastWebhook,
  node: (args) =>
    args
      .filter((arg) => !arg.startsWith('-'))
      .slice(0, 1)
      .flatMap(missingFile),
  tail: () => [],
  chmod: () => [],
};

/** The tests use what the pages say to install. */
function notInstalled(name: string): string[] {
  const isKnown = name === 'vast-webhook' || Object.hasOwn(devDependencies, name) || Object.hasOwn(dependencies, name);
  return isKnown ? [] : [`${name} is no dependency`];
}

function missingFile(path: string): string[] {
  return existsSync(join(root, path)) ? [] : [`there is no file ${path}`];
}

/** By the command's own help. A word that may be anything, as in `vast-webhook <subcommand>`, is none. */
async function vastWebhook([subcommand = '', ...args]: readonly string[]): Promise<string[]> {
  if (subcommand.startsWith('<')) return [];
  const { status, out } = await helpOf(subcommand);
  if (status !== 0 || !out.startsWith(`Usage: vast-webhook ${subcommand} `))
    return [`vast-webhook has no subcommand ${subcommand}`];
  const known = [...out.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map(([, option]) => option);
  const given = args.filter((arg) => arg.startsWith('--')).map((arg) => arg.replace(/=.*/, ''));
  return given
    .filter((option) => !known.includes(option))
    .map((option) => `vast-webhook ${subcommand} has no ${option}`);
}

const helps = new Map<string, Promise<{ status: number; out: string }>>();

function helpOf(subcommand: string): Promise<{ status: number; out: string }> {
  const help = helps.get(subcommand) ?? askForHelp(subcommand);
  helps.set(subcommand, help);
  return help;
}

async function askForHelp(subcommand: string): Promise<{ status: number; out: string }> {
  const io = fakeIo({ cwd: root });
  const status = await run([subcommand, '--help'], io, '0.0.0');
  return { status, out: io.out };
}
