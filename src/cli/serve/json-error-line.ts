const scalar =
  /"(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[\da-f]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:e[+-]?\d+)?|true|false|null/iuy;
const key = /"(?:[^"\\]|\\.)*"/uy;

/**
 * The line, from 1 on, where a text stops being JSON. `JSON.parse` gives a position in some versions and for some
 * errors only, and its message quotes the text, which may hold a secret.
 */
export function jsonErrorLine(text: string): number {
  let at = 0;
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
    if (take('{')) return list('}', () => take(key) && take(':') && value());
    if (take('[')) return list(']', value);
    return take(scalar);
  };
  if (value()) skipSpace();
  return text.slice(0, at).split('\n').length;
}
