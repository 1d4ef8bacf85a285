import type { DeliverySummary } from '../delivery-log.js';
import { shown } from './text.js';

const maxDots = 6;

/** A dot for each sink, and a square for the user's own app. */
export function Dots({ sinks, forwarded }: Pick<DeliverySummary, 'sinks' | 'forwarded'>) {
  const all = Object.entries(sinks);
  return (
    <span class="dots">
      {all.slice(0, maxDots).map(([name, fared]) => (
        <span key={name} class={`dot ${fared}`} title={shown(`${name}: ${fared}`)} />
      ))}
      {all.length > maxDots && <span class="quiet">+{all.length - maxDots}</span>}
      {forwarded !== undefined && <span class={`dot app ${appWord(forwarded)}`} title={appText(forwarded)} />}
      <span class="hidden">
        {[
          ...all.map(([name, fared]) => shown(`${name} ${fared}`)),
          ...(forwarded === undefined ? [] : [appText(forwarded)]),
        ].join(', ')}
      </span>
    </span>
  );
}

function appWord(forwarded: number | 'pending'): string {
  if (forwarded === 'pending') return 'pending';
  return forwarded >= 200 && forwarded <= 299 ? 'delivered' : 'failed';
}

function appText(forwarded: number | 'pending'): string {
  if (forwarded === 'pending') return 'your app: pending';
  return forwarded === 0 ? 'your app: no answer' : `your app: ${forwarded}`;
}
