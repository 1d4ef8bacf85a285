/**
 * What may control a terminal, break a line or turn a text around: C0, DEL, C1 (CSI is U+009B), the line and paragraph
 * separators, and the marks of bidirectional text.
 */
const controls = '\\p{Cc}\\p{Zl}\\p{Zp}\\p{Bidi_Control}';
const runs = new RegExp(`[${controls}]+`, 'gu');
// A line break between two values is JSON's own. In a string, `JSON.stringify` has escaped it.
const unescaped = new RegExp(`(?!\\n)[${controls}]`, 'gu');

/** A text of others in one line, for a terminal or a log. Each run of control characters becomes a space. */
export function printable(text: string): string {
  return text.replace(runs, ' ');
}

/** A value as JSON for a terminal or a log. Control characters are escaped, so the parsed value stays the same. */
export function printableJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, undefined, indent).replace(
    unescaped,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
