// What becomes of a delivery of the long run, which its event's id says, so that sender and service agree without a word.

/** Shares of a thousand. */
const fates = { fails: 20, 'is slow': 20, 'hangs past the deadline': 3, 'hangs for ever': 0.2 };
const range = 16 ** 4;

export function fateOf(id) {
  let rest = (Number.parseInt(id.slice(-4), 16) / range) * 1_000;
  for (const [fate, share] of Object.entries(fates)) {
    rest -= share;
    if (rest < 0) return fate;
  }
  return 'goes well';
}
