import { Buffer } from 'node:buffer';

const zeroWidthSpace = '\u200B';

/**
 * Adds zero-width spaces, so that a chat reads no emphasis, code, list, quote or link in a plain text. Underscores
 * inside words stay unchanged, so that names can still be copied.
 */
export function withoutMarkup(text: string): string {
  return text
    .replace(/[*~`<|]|(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu, `$&${zeroWidthSpace}`)
    .replace(/^([ \t]*)([->])/gm, `$1${zeroWidthSpace}$2`);
}

/**
 * Adds backslashes, so that a chat that reads Markdown (Discord, CommonMark) reads none in a plain text. A zero-width
 * space would not do, because two asterisks would still be a pair. Underscores inside words stay unchanged, so that
 * URLs still work. A `<` starts no mention, link or tag.
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

/** Breaks mentions and tags, for texts in which a chat reads no other markup. */
export function withoutTags(text: string): string {
  return text.replace(/<|@(?=everyone|here)/g, `$&${zeroWidthSpace}`);
}

/** Breaks every mention by name (`@ops`, `@room`), but no e-mail address. */
export function withoutMentions(text: string): string {
  return text.replace(/(?<![\p{L}\p{N}])@(?!\u200B)/gu, `@${zeroWidthSpace}`);
}

/** Breaks names of emoji (`:tada:`), for chats that show the picture in their place. Times stay unchanged. */
export function withoutShortcodes(text: string): string {
  return text.replace(/:(?=(?:\d*[a-z_+-][\w+-]*|100|1234):)/gi, `:${zeroWidthSpace}`);
}

/** Adds a zero-width space before white space at the start of a line, where it would begin a block of code. */
export function withoutIndents(text: string): string {
  return text.replace(/^(?=[ \t])/gm, zeroWidthSpace);
}

/**
 * Breaks the mentions (`@name`) and commands (`/stop`) that Telegram makes of a plain text by itself. Addresses and
 * paths stay unchanged.
 */
export function withoutNames(text: string): string {
  return (
    text
      // Telegram drops these before it looks for names. Source: tdlib/td, misc.cpp, clean_input_string.
      .replace(/\r|[\u2028-\u202E]|\u030A|\u0333|\u033F/g, '')
      .replace(/(?<!\w)@(?=\w)/g, `@${zeroWidthSpace}`)
      .replace(/(?<![\w/<>])\/(?=\w+(?![\w/<>]))/g, `/${zeroWidthSpace}`)
  );
}

/** Bytes of a text in UTF-8. */
export function bytesOf(text: string): number {
  return Buffer.byteLength(text);
}

/** The text with each run of white space, line breaks included, as one space. */
export function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

const ellipsis = '…';
/** Made when the first text is cut, because making it takes 20 ms of the start of each process. */
let graphemes: Intl.Segmenter | undefined;

/**
 * Cuts a text so that it measures `max` at most, with the ellipsis. It does not split a character, such as an emoji of
 * several code points or a letter with accents.
 */
export function cut(text: string, max: number, measure: (text: string) => number = (text) => text.length): string {
  return measure(text) <= max ? text : fitting(text, max, (part) => measure(part + ellipsis)) + ellipsis;
}

/** The longest beginning of a text that measures `max` at most. Splits a character only if it alone is too long. */
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
  graphemes ??= new Intl.Segmenter();
  const segments = graphemes.segment(text);
  end = segments.containing(end)?.index ?? end;
  // A shorter text can measure more, if the measure depends on neighbouring characters.
  while (end > 0 && !fits(end)) end = segments.containing(end - 1)?.index ?? 0;
  return text.slice(0, end);
}
