/**
 * Characters that show nothing: white space, controls, everything that Unicode says to ignore (zero-width spaces and
 * joiners, the soft hyphen, Hangul fillers, tags, variation selectors, marks of direction), and the blank Braille
 * pattern. Source: Unicode Standard, 5.21, Default_Ignorable_Code_Point.
 */
const invisible = /^[\s\p{Cc}\p{Default_Ignorable_Code_Point}\u2800\uFFF9-\uFFFB]*$/u;

/** The text, or an empty one if it has nothing that people can see. */
export function visible(text: string): string {
  return invisible.test(text) ? '' : text;
}
