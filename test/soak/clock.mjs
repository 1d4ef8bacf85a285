/** Milliseconds by one clock for all processes of the machine, which only goes forward. */
export function now() {
  return Number(process.hrtime.bigint()) / 1e6;
}
