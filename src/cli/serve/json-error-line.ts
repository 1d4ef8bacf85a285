const string = /"(?:[^"\\\p{Cc}]|[\u007F-\u009F]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"/uy;
const other = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/uy;

/**
 * The line, from 1 on, where a text stops being JSON, or has a key again that its object has already. Undefined if it
 * does neither. `JSON.parse` gives a position in some versions and for some errors only, its message quotes the text,
 * which may hold a secret, and of a repeated key it keeps the last value without a word.
 */
export function jsonErrorLine(text: string): number | undefined {
  let at = 0;
  /** Where the last token began. */
  let from = 0;
  const skipSpace = () => {
    while (/[ \t\r\n]/.test(text[at] ?? '')) at++;
  };
  const take = (token: RegExp | string): boolean => {
    skipSpace();
    if (typeof token === 'string') {
      if (text[at] !== token) return false;
      at++;
      return true;
    }
    from = at;
    token.lastIndex = at;
    if (!token.test(text)) return false;
    at = token.lastIndex;
    return true;
  };
  const list = (end: string, item: () => boolean): boolean => {
    if (take(end)) return true;
    do {
      if (!item()) return false;
    } while (take(','));
    return take(end);
  };
  const value = (): boolean => {
    if (take('{')) {
      const keys = new Set<string>();
      const isNew = () => keys.size < keys.add(text.slice(from, at)).size;
      return list('}', () => take(string) && isNew() && take(':') && value());
    }
    if (take('[')) return list(']', value);
    return take(string) || take(other);
  };
  const isWhole = value();
  if (isWhole) skipSpace();
  return isWhole && at === text.length ? undefined : text.slice(0, at).split('\n').length;
}
