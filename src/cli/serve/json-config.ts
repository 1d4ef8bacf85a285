import { closest, distance } from 'fastest-levenshtein';
import { vastTypes, when } from 'vast-webhook';
import { digest, quiet } from 'vast-webhook/sinks';
import { CliError, toError } from '../shared/errors.js';
import { jsonErrorLine } from './json-error-line.js';
import type { GivenSink } from './sinks-from-urls.js';

/** What a JSON file says. */
export interface JsonConfig {
  readonly sinks: readonly GivenSink[];
  readonly store?: string;
  readonly outbox?: string;
  readonly catchUp?: boolean;
  readonly workers?: unknown;
  readonly givenAlert?: readonly GivenSink[];
  readonly alert?: { readonly afterMs?: number };
  readonly warnings: readonly string[];
}

type Fields = Readonly<Record<string, unknown>>;

/** Throws a `CliError` that names the line or the key, and never a value, which may be a secret. */
export function readJsonConfig(text: string, file: string, setting: (name: string) => string | undefined): JsonConfig {
  const given = parsed(text, file);
  const keys = ['sinks', 'store', 'outbox', 'alert', 'catchUp', 'workers'];
  const {
    sinks = [],
    store,
    outbox,
    alert,
    catchUp,
    workers,
  } = fieldsOf(withSettings(given, file, setting), file, keys);
  if (!Array.isArray(sinks)) throw new CliError(`${file}: sinks must be a list, as in [{ "url": "env:SLACK_URL" }]`);
  return {
    sinks: sinks.map((sink, index) => givenSink(sink, `${file}: sinks[${index}]`)),
    store: optionalText(store, `${file}: store`),
    outbox: optionalText(outbox, `${file}: outbox`),
    catchUp: optionalFlag(catchUp, `${file}: catchUp`),
    workers,
    warnings: unknownTypes(given as Fields, file),
    ...(alert === undefined ? {} : alertIn(alert, `${file}: alert`)),
  };
}

function parsed(text: string, file: string): unknown {
  const json = text.replace(/^\uFEFF/, '');
  let value: unknown;
  let fault = 'this key is there twice, and only one of them would count: remove one';
  try {
    value = JSON.parse(json);
  } catch {
    fault = 'this is no JSON: look for a missing or trailing comma, quote or bracket, or a comment';
  }
  const line = jsonErrorLine(json);
  if (line !== undefined) throw new CliError(`${file}:${line}: ${fault}`);
  return value;
}

/** Puts settings in the place of `env:NAME`. */
function withSettings(value: unknown, where: string, setting: (name: string) => string | undefined): unknown {
  if (Array.isArray(value)) return value.map((each, index) => withSettings(each, `${where}[${index}]`, setting));
  if (typeof value === 'object' && value !== null) {
    const separator = where.includes(': ') ? '.' : ': ';
    const entries = Object.entries(value).map(([key, each]) => [
      key,
      withSettings(each, `${where}${separator}${key}`, setting),
    ]);
    return Object.fromEntries(entries);
  }
  if (typeof value !== 'string' || !value.startsWith('env:')) return value;
  const name = value.slice('env:'.length);
  if (!/^[a-z_]\w*$/i.test(name)) throw new CliError(`${where}: after env: there must be the name of a variable`);
  const found = setting(name)?.trim();
  if (!found) throw new CliError(`${where}: set the environment variable ${name}`);
  return found;
}

function givenSink(value: unknown, where: string): GivenSink {
  const sink = fieldsOf(value, where, ['url', 'name', 'types', 'digest', 'quiet']);
  const text = optionalText(sink.url, `${where}.url`);
  if (text === undefined) throw new CliError(`${where}.url must be the address of a sink, or env:NAME`);
  if (sink.digest !== undefined && sink.quiet !== undefined) {
    throw new CliError(`${where}: give one of digest and quiet, because each of them batches events`);
  }
  const { types } = sink;
  // Looked at before the sink is made, so that an error says which key is wrong.
  const everyMs = numberIn(sink.digest, `${where}.digest`, 'everyMs');
  const perMinute = numberIn(sink.quiet, `${where}.quiet`, 'perMinute');
  return {
    where: `${where}.url`,
    text,
    name: optionalText(sink.name, `${where}.name`),
    wrap(made, onError) {
      let wrapped = made;
      if (everyMs !== undefined) wrapped = at(`${where}.digest`, () => digest({ everyMs, onError }, made));
      if (perMinute !== undefined) wrapped = at(`${where}.quiet`, () => quiet({ perMinute, onError }, made));
      return types === undefined ? wrapped : at(`${where}.types`, () => when(types as string[], wrapped));
    },
  };
}

/**
 * A type that is newer than this version is right, and so it is not refused. The texts are those of the file, without
 * what `env:` stands for.
 */
function unknownTypes({ sinks }: Fields, file: string): readonly string[] {
  const slugs = [...Object.keys(vastTypes), 'webhook_test'];
  const isKnown = (slug: string) =>
    slug.endsWith('*') ? slugs.some((each) => each.startsWith(slug.slice(0, -1))) : slugs.includes(slug);
  return [sinks].flat().flatMap((sink, index) =>
    [Object(sink).types].flat().flatMap((type) => {
      if (typeof type !== 'string' || type.startsWith('env:')) return [];
      const slug = type.replace(/^(client|host):/, '');
      if (isKnown(slug)) return [];
      const nearest = closest(slug, slugs);
      const advice = distance(slug, nearest) <= 2 ? `do you mean "${nearest}"?` : 'it may be newer';
      return `${file}: sinks[${index}].types: this version knows no type "${slug}": ${advice}`;
    }),
  );
}

/** An address, or an object. */
function alertIn(value: unknown, where: string): Pick<JsonConfig, 'givenAlert' | 'alert'> {
  if (typeof value === 'string') return { givenAlert: [{ where, text: value }] };
  const { url, name, afterSeconds } = fieldsOf(value, where, ['url', 'name', 'afterSeconds']);
  const text = optionalText(url, `${where}.url`);
  if (text === undefined) throw new CliError(`${where}.url must be the address of a sink, or env:NAME`);
  if (afterSeconds !== undefined && !(typeof afterSeconds === 'number' && afterSeconds > 0 && afterSeconds <= 86_400)) {
    throw new CliError(`${where}.afterSeconds must be a number above 0, and 86400 at most, which is a day`);
  }
  return {
    givenAlert: [{ where: `${where}.url`, text, name: optionalText(name, `${where}.name`) }],
    alert: { afterMs: afterSeconds && Math.ceil(afterSeconds * 1_000) },
  };
}

/** Names the key in the error that an option's own check throws. */
function at<T>(where: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    const { message } = toError(error);
    const [, option, rest] = /^the option (\w+) (must .*)$/s.exec(message) ?? [];
    throw new CliError(option === undefined ? `${where}: ${message}` : `${where}.${option} ${rest}`);
  }
}

function fieldsOf(value: unknown, where: string, valid: readonly string[]): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new CliError(`${where} must be an object with ${valid.join(', ')}`);
  }
  const unknown = Object.keys(value).find((key) => !valid.includes(key));
  // The name is no value, so it is no secret.
  if (unknown !== undefined) throw new CliError(`${where}: unknown key "${unknown}" (valid: ${valid.join(', ')})`);
  return value as Fields;
}

function optionalText(value: unknown, where: string): string | undefined {
  if (value === undefined || (typeof value === 'string' && value !== '')) return value;
  throw new CliError(`${where} must be a text that is not empty`);
}

function optionalFlag(value: unknown, where: string): boolean | undefined {
  if (value === undefined || typeof value === 'boolean') return value;
  throw new CliError(`${where} must be true or false`);
}

function numberIn(value: unknown, where: string, key: string): number | undefined {
  if (value === undefined) return undefined;
  const number = fieldsOf(value, where, [key])[key];
  if (typeof number !== 'number') throw new CliError(`${where}.${key} must be a number`);
  return number;
}
