import { createHash } from 'node:crypto';
import { parse } from 'dotenv';

/** The webhook that an entry's secret belongs to, as a comment above the entry says. */
export interface Mark {
  readonly service: string;
  readonly id: string;
}

/** The fingerprint shows that the value is still the one that was marked. It cannot be reversed: secrets are random. */
const mark = /^# Signing secret of (\S+) webhook (\S+) \(sha256 ([\da-f]{8})\)$/;

function markLine({ service, id }: Mark, secret: string): string {
  return `# Signing secret of ${service} webhook ${id} (sha256 ${fingerprint(secret)})`;
}

function fingerprint(secret: string): string {
  return createHash('sha256').update(secret).digest('hex').slice(0, 8);
}

/** The webhooks by the names of the entries that hold their secrets, where a comment says so and still holds. */
export function marksIn(text: string): ReadonlyMap<string, Mark> {
  const values = parse(text);
  const marks = new Map<string, Mark>();
  for (const { index, name } of entriesIn(text)) {
    const [, service = '', id = '', print] = mark.exec(lineBefore(text, index).trimEnd()) ?? [];
    if (print !== undefined && print === fingerprint(values[name] ?? '')) marks.set(name, { service, id });
  }
  return marks;
}

/** Each entry that counts, with the start of its line. */
function entriesIn(text: string): { readonly name: string; readonly index: number }[] {
  const last = new Map<string, number>();
  for (const match of text.matchAll(entries)) {
    const [at] = (match.indices as RegExpIndicesArray)[1] as [number, number];
    last.set(match[1] as string, text.lastIndexOf('\n', at - 1) + 1);
  }
  return [...last].map(([name, index]) => ({ name, index }));
}

/** With its line break; empty for the first line. */
function lineBefore(text: string, index: number): string {
  return index === 0 ? '' : text.slice(text.lastIndexOf('\n', index - 2) + 1, index);
}

/** dotenv's own, so that a `NAME=` within a value of many lines is not taken for an entry. */
const entries =
  /(?:^|^)\s*(?:export\s+)?([\w.-]+)(?:\s*=\s*?|:\s+?)(\s*'(?:\\'|[^'])*'|\s*"(?:\\"|[^"])*"|\s*`(?:\\`|[^`])*`|[^#\r\n]+)?\s*(?:#.*)?(?:$|$)/dgm;

/**
 * The text of an `.env` file with an entry set, and marked: everything else, comments and order included, stays byte
 * for byte. Undefined when the file would then not say what it should.
 */
export function withEntry(text: string, name: string, value: string, owner?: Mark): string | undefined {
  const entered = replaceEntry(text, name, quoted(value)) ?? appendEntry(text, name, quoted(value));
  const changed = withMark(entered, name, owner && markLine(owner, value));
  const expected = { ...parse(text), [name]: value };
  const found = parse(changed);
  const names = Object.keys({ ...expected, ...found });
  return names.every((each) => found[each] === expected[each]) ? changed : undefined;
}

/** A mark of the old value is replaced. */
function withMark(text: string, name: string, line: string | undefined): string {
  const index = entriesIn(text).find((entry) => entry.name === name)?.index;
  if (index === undefined) return text;
  const before = lineBefore(text, index);
  const start = mark.test(before.trimEnd()) ? index - before.length : index;
  return text.slice(0, start) + (line === undefined ? '' : line + newlineOf(text)) + text.slice(index);
}

function newlineOf(text: string): string {
  return text.includes('\r\n') ? '\r\n' : '\n';
}

/** Of several entries the last one counts. */
function replaceEntry(text: string, name: string, value: string): string | undefined {
  const entry = [...text.matchAll(entries)].findLast((match) => match[1] === name);
  if (entry === undefined) return undefined;
  const [, nameSpan, valueSpan] = entry.indices as RegExpIndicesArray;
  const nameEnd = (nameSpan as [number, number])[1];
  // An entry without a value ends with its equals sign.
  const [start, end] = valueSpan ?? emptyAt(nameEnd + text.slice(nameEnd).search(/[=:]/) + 1);
  const old = text.slice(start, end);
  const [before] = /^\s*/.exec(old) as RegExpExecArray;
  const after = old.slice(old.trimEnd().length);
  return text.slice(0, start) + before + value + after + text.slice(end);
}

function emptyAt(index: number): [number, number] {
  return [index, index];
}

function appendEntry(text: string, name: string, value: string): string {
  const newline = newlineOf(text);
  const separator = text === '' || text.endsWith('\n') ? '' : newline;
  return `${text}${separator}${name}=${value}${newline}`;
}

/** Without quotes where it can be: `docker run --env-file` takes quotes for a part of the value. */
function quoted(value: string): string {
  if (/^[\w.+/=:@%^-]+$/.test(value)) return value;
  return (
    ["'", '`', '"'].map((quote) => quote + value + quote).find((each) => !each.slice(1, -1).includes(each[0] ?? '')) ??
    value
  );
}
