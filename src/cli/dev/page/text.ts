/** Text of others: what turns direction, hides or moves is written out, so that all of it can be seen. */
export function shown(text: string): string {
  if (/^[ -~]*$/.test(text)) return text;
  return text.replace(/[^\P{C}\n\t]|[\u2028\u2029]/gu, (character) => {
    const code = character.codePointAt(0) as number;
    // Assigned and harmless to its neighbours: joins emoji and letters.
    if (code === 0x200d || code === 0x200c) return character;
    return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, '0')}`;
  });
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
