import { parse } from 'dotenv';

/** dotenv's own, so that a `NAME=` within a value of many lines is not taken for an entry. */
const entries =
  /(?:^|^)\s*(?:export\s+)?([\w.-]+)(?:\s*=\s*?|:\s+?)(\s*'(?:\\'|[^'])*'|\s*"(?:\\"|[^"])*"|\s*`(?:\\`|[^`])*`|[^#\r\n]+)?\s*(?:#.*)?(?:$|$)/dgm;

/**
 * The text of an `.env` file with an entry set: everything else, comments and order included, stays byte for byte.
 * Undefined when the file would then not say what it should.
 */
export function withEntry(text: string, name: string, value: string): string | undefined {
  const changed = replaceEntry(text, name, quoted(value)) ?? appendEntry(text, name, quoted(value));
  const expected = { ...parse(text), [name]: value };
  const found = parse(changed);
  const names = Object.keys({ ...expected, ...found });
  return names.every((each) => found[each] === expected[each]) ? changed : undefined;
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
  const newline = text.includes('\r\n') ? '\r\n' : '\n';
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
