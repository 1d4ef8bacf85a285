import type { Verdict } from './deliveries.js';

/** Not by colour alone. */
const signs: Readonly<Record<Verdict, string>> = { accepted: '✓', duplicate: '=', rejected: '✕', failed: '!' };

export function VerdictBadge({ result }: { readonly result: Verdict }) {
  return (
    <span class={`badge ${result}`} aria-hidden="true">
      {signs[result]}
    </span>
  );
}
