/** Texts that a chat would read as a mention, a link or markup. */
export const nasty = [
  '<!channel>',
  '<!here>',
  '<!everyone>',
  '<!here|here>',
  '<@U0123ABCD>',
  '<#C0123ABCD>',
  '<#C0123ABCD|general>',
  '<!subteam^S0123ABCD>',
  '<!subteam^S0123ABCD|@ops>',
  '<!date^1392734382^{date}|then>',
  '<http://evil.example|your invoice>',
  '<https://evil.example>',
  '<mailto:a@evil.example|write>',
  '<users/all>',
  '<users/1234567890>',
  '*bold*',
  '**bold**',
  '_italic_',
  '__init__',
  '(_italic_)',
  '~strike~',
  '`code`',
  '```block```',
  '```\nblock\n```',
  '*_~all of it~_*',
  '> quote',
  '>>> quote',
  '  > quote',
  'text\n> quote',
  'text\r> quote',
  '- item',
  '* item',
  'text\n- item\n- item',
  'text\n * item',
  'text\n  > quote',
  'text\n\t> quote',
  'text\n  - item',
];

/** Emphasis, code, quotes, lists: the parts of a text that a chat would not show literally. */
export function markupIn(text: string): string[] {
  const emphasis = /(?<![\p{L}\p{N}])([*_~])(?![\s\u200B*_~])[^\n]*?(?<![\s\u200B])\1(?![\p{L}\p{N}])/gu;
  const code = /`(?!\u200B)[^`]*`/g;
  const atLineStart = /^[ \t]*(?:>|&gt;|[-*] )/gm;
  return [emphasis, code, atLineStart].flatMap((pattern) => text.match(pattern) ?? []);
}

/** Mentions and links in angle brackets. */
export function controlsIn(text: string): string[] {
  return text.match(/<[^\u200B][^>]*>?/g) ?? [];
}

/** A text as people see it. */
export function seen(text: string): string {
  return text.replaceAll('\u200B', '').replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
}

/** Characters of several code points, each of which is one to the reader. */
export const clusters = {
  'an emoji': '🚀',
  'a family': '👨‍👩‍👧‍👦',
  'a flag': '🇳🇱',
  'a skin tone': '👍🏽',
  'a keycap': '1️⃣',
  'a letter with accents': 'e\u0301\u0323',
  'a Hangul syllable of parts': '\u1112\u1161\u11AB',
};

/** Whether a text is made of some `x` and whole clusters. (To iterate over an `Intl.Segmenter` takes quadratic time.) */
export function isMadeOf(cluster: string, text: string): boolean {
  const rest = text.replace(/^x*/, '');
  return rest === cluster.repeat(rest.length / cluster.length);
}

export function isWellFormed(text: string): boolean {
  return !/\p{Cs}/u.test(text);
}

/** Further texts that Discord and Teams would interpret. */
export const nastyMarkdown = [
  '@everyone',
  '@here',
  'mail@here.example @everyone!',
  '<@1234567890>',
  '<@!1234567890>',
  '<@&1234567890>',
  '<#1234567890>',
  '</command:1234567890>',
  '<:emoji:1234567890>',
  '<a:emoji:1234567890>',
  '<t:1734382800:R>',
  '<id:customize>',
  '<at>Everyone</at>',
  '&lt;at&gt;Everyone&lt;/at&gt;',
  '<b>bold</b>',
  '[your invoice](http://evil.example)',
  '![image](http://evil.example/x.png)',
  '[reference][1]\n\n[1]: http://evil.example',
  '||spoiler||',
  '~~strike~~',
  'in__the__word',
  'in**the**word',
  'in*the*word',
  '# heading',
  '-# small',
  'text\n## heading',
  'text\n  # heading',
  '1. item',
  'text\n12. item\n13) item',
  '+ item',
  'heading\n===',
  'heading\n---',
  '\\*escaped\\*',
  'C:\\_odd_\\`path`',
  '{{DATE(2026-01-01T00:00:00Z, SHORT)}}',
];

/** A text as a chat shows it that reads Markdown and finds nothing but escapes. */
export function readMarkdown(text: string): string {
  return text.replaceAll('\u200B', '').replace(/\\([!-/:-@[-`{-~])/g, '$1');
}

/** Emphasis, code, links, lists, headings, quotes: everything in Markdown except escapes. */
export function unescapedIn(text: string): string[] {
  const rest = text.replace(/\\[!-/:-@[-`{-~]/g, 'x');
  const spans = /[*~`|[\]\\<]|(?<![\p{L}\p{N}])_|_(?![\p{L}\p{N}])/gu;
  const atLineStart = /^[ \t]*(?:[->#+=]|\d+[.)])/gm;
  return [spans, atLineStart].flatMap((pattern) => rest.match(pattern) ?? []);
}
