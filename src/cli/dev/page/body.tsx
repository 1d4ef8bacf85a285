import { useState } from 'preact/hooks';
import type { LoggedDelivery } from '../delivery-log.js';
import { type Piece, reserialized } from './json-source.js';
import { Scrolled } from './scrolled.js';
import { plural, shown } from './text.js';

/** Each mark is an element, and more of them say nothing new. */
const maxMarks = 1_000;

/** The raw body, in which is marked what a re-serialisation would change, or the JSON in lines. */
export function Body({ delivery }: { readonly delivery: LoggedDelivery }) {
  const { body, isBase64, bytes, isCut } = delivery;
  const [isPretty, setPretty] = useState(false);
  const pieces = isBase64 || isCut ? undefined : reserialized(body);
  const size = `${plural(bytes, 'byte')}${isCut ? ', of which the beginning is kept' : ''}`;
  return (
    <section aria-labelledby="body-title">
      <div class="heading">
        <h3 id="body-title">Body</h3>
        <span class="quiet">{size}</span>
        {pieces !== undefined && (
          <div class="switch">
            <button type="button" aria-pressed={!isPretty} onClick={() => setPretty(false)}>
              As sent
            </button>
            <button type="button" aria-pressed={isPretty} onClick={() => setPretty(true)}>
              In lines
            </button>
          </div>
        )}
      </div>
      {pieces !== undefined && !isPretty && <p class="quiet">{changesIn(pieces)}</p>}
      <Scrolled label={isPretty ? 'Body in lines' : 'Body as sent'}>
        {isPretty && pieces !== undefined ? (
          shown(pretty(body))
        ) : (
          <Raw body={body} isBase64={isBase64} pieces={pieces} />
        )}
      </Scrolled>
    </section>
  );
}

function Raw({
  body,
  isBase64,
  pieces,
}: Pick<LoggedDelivery, 'body' | 'isBase64'> & { readonly pieces: readonly Piece[] | undefined }) {
  if (body === '') return <>(empty)</>;
  if (isBase64) return <>{latin1(body)}</>;
  if (pieces === undefined) return <>{shown(body)}</>;
  let marks = 0;
  let rest = '';
  const parts = pieces.map(({ text, becomes }, index) => {
    if (marks >= maxMarks) {
      rest += text;
      return undefined;
    }
    if (text === becomes) return shown(text);
    marks++;
    const title = becomes === '' ? 'would be left out or moved' : `would become ${shown(becomes)}`;
    return (
      <mark key={index} title={title}>
        {/^\n/.test(text) ? `↵${shown(text)}` : shown(text)}
      </mark>
    );
  });
  return (
    <>
      {parts}
      {shown(rest)}
    </>
  );
}

function changesIn(pieces: readonly Piece[]): string {
  const changed = pieces.filter(({ text, becomes }) => text !== becomes);
  if (changed.length === 0) return 'JSON.stringify would print the same bytes.';
  const bytes = changed.reduce((sum, { text }) => sum + new TextEncoder().encode(text).length, 0);
  return `Parsed and printed again, ${plural(bytes, 'byte')} of it would change: they are marked. That is why the signature is checked over the raw bytes.`;
}

function pretty(body: string): string {
  return JSON.stringify(JSON.parse(body.replace(/^\ufeff/, '')), undefined, 2);
}

/** What is no text: printable ASCII, and everything else as `\xff`. */
function latin1(base64: string): string {
  return atob(base64).replace(/[^ -~\n]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
