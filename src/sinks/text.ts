const zeroWidthSpace = '\u200B';

/**
 * Keeps a chat from reading emphasis, code, lists, quotes and links out of plain text, with characters that have no
 * width. Underscores inside words stay as they are, so that names can still be copied.
 */
export function withoutMarkup(text: string): string {
  return text
    .replace(/[*~`<|]|(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu, `$&${zeroWidthSpace}`)
    .replace(/^([ \t]*)([->])/gm, `$1${zeroWidthSpace}$2`);
}

/**
 * Keeps a chat that reads Markdown (Discord; CommonMark) from reading any out of plain text, with backslashes, which
 * it does not show: there, a character without width would not keep two asterisks from being a pair. Underscores
 * inside words stay as they are, so that addresses remain addresses. A `<` begins no mention, link or tag.
 */
export function withoutMarkdown(text: string): string {
  return withoutTags(
    text
      .replace(/[\\*~`|[\]<]|(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu, '\\$&')
      .replace(/^([ \t]*)([->#+=]|\d+(?=[.)]))/gm, (_, indent, mark) =>
        /\d/.test(mark) ? `${indent}${mark}\\` : `${indent}\\${mark}`,
      ),
  );
}

/** Keeps a chat from reading a mention or a tag out of a text in which it reads nothing else. */
export function withoutTags(text: string): string {
  return text.replace(/<|@(?=everyone|here)/g, `$&${zeroWidthSpace}`);
}

/** With every gap, a line break too, made a single space. */
export function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

const ellipsis = '…';
const graphemes = new Intl.Segmenter();

/**
 * Cuts a text so that it measures `max` at most, the ellipsis in its place included, and cuts no character in two:
 * neither an emoji of several code points nor a letter with its accents.
 */
export function cut(text: string, max: number, measure: (text: string) => number = (text) => text.length): string {
  return measure(text) <= max ? text : fitting(text, max, (part) => measure(part + ellipsis)) + ellipsis;
}

/** As much of a text, from its beginning, as measures `max` at most. Cuts no character in two, unless it is too long. */
export function fitting(text: string, max: number, measure: (text: string) => number): string {
  const fits = (end: number) => measure(text.slice(0, end)) <= max;
  if (fits(text.length)) return text;
  let end = 0;
  let tooMuch = text.length;
  while (tooMuch - end > 1) {
    const middle = (end + tooMuch) >> 1;
    if (fits(middle)) end = middle;
    else tooMuch = middle;
  }
  const segments = graphemes.segment(text);
  end = segments.containing(end)?.index ?? end;
  // A measure that looks at neighbours may give more for the shorter text.
  while (end > 0 && !fits(end)) end = segments.containing(end - 1)?.index ?? 0;
  return text.slice(0, end);
}
