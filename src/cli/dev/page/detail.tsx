import type { RefObject } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { LoggedDelivery } from '../delivery-log.js';
import type { PageDetail } from '../page-server.js';
import { Body } from './body.js';
import type { Connection } from './connection.js';
import { asCurl, asJson, asTest } from './copies.js';
import { type Row, verdictOf } from './deliveries.js';
import { Messages } from './messages.js';
import { Scrolled } from './scrolled.js';
import { shown } from './text.js';
import { VerdictBadge } from './verdict.js';

interface DetailProps {
  readonly connection: Connection;
  /** Another object when more of it is known. */
  readonly row: Row;
  readonly heading: RefObject<HTMLHeadingElement | null>;
  readonly chat: string;
  readonly onChat: (chat: string) => void;
  /** Where "send again" leads, for people. */
  readonly target: string;
  readonly isSending: boolean;
  readonly onResend: (hasNewId: boolean) => void;
  readonly onCopy: (what: string, text: string) => void;
  readonly onClose: () => void;
}

export function Detail(props: DetailProps) {
  const { connection, row, heading, onClose } = props;
  const [detail, setDetail] = useState<PageDetail | undefined>(undefined);
  const [failure, setFailure] = useState('');
  useEffect(() => {
    const abort = new AbortController();
    setFailure('');
    connection.detail(row.number, abort.signal).then(setDetail, ({ message }: Error) => {
      if (!abort.signal.aborted) setFailure(message);
    });
    return () => abort.abort();
  }, [row]);
  const known = detail?.delivery.number === row.number ? detail : undefined;
  return (
    <article
      class="detail"
      aria-labelledby="detail-title"
      onKeyDown={({ key }) => {
        if (key === 'Escape') onClose();
      }}
    >
      <button type="button" class="back" onClick={onClose}>
        ← All deliveries
      </button>
      <h2 id="detail-title" ref={heading} tabIndex={-1}>
        <VerdictBadge result={row.result} />
        <span class={`verdict ${row.result}`}>{verdictOf(row)}</span>
        <span class="quiet">{row.status === 0 ? 'no answer' : row.status}</span>
        <bdi>{shown(row.type ?? 'no type')}</bdi>
        <span class="quiet number">#{row.number}</span>
      </h2>
      {row.subject !== undefined && (
        <p class="detail-subject">
          {row.id === undefined && <span class="quiet">unverified: </span>}
          <bdi>{shown(row.subject)}</bdi>
        </p>
      )}
      {failure !== '' && <p class="quiet">{failure}</p>}
      {known === undefined ? failure === '' && <p class="quiet">Looking…</p> : <Known {...props} detail={known} />}
    </article>
  );
}

function Known(props: DetailProps & { readonly detail: PageDetail }) {
  const { connection, detail, chat, onChat } = props;
  const { delivery, explanation } = detail;
  return (
    <>
      <Actions {...props} delivery={delivery} />
      <Why delivery={delivery} explanation={explanation} />
      <section aria-label="Facts">
        <Facts delivery={delivery} />
      </section>
      <Fates delivery={delivery} />
      <Body delivery={delivery} />
      <section aria-labelledby="headers-title">
        <h3 id="headers-title">Headers</h3>
        <Table label="Headers" lines={delivery.headers} />
      </section>
      <Messages connection={connection} number={delivery.number} chat={chat} onChat={onChat} />
    </>
  );
}

function Actions({
  connection,
  delivery,
  target,
  isSending,
  onResend,
  onCopy,
}: DetailProps & { readonly delivery: LoggedDelivery }) {
  const { cannotResend, id } = delivery;
  const { receiver = '', forwardTo } = connection.places ?? {};
  const url = forwardTo ?? receiver;
  const sending = {
    'aria-disabled': cannotResend !== undefined || isSending,
    'aria-describedby': 'resend-note',
  };
  const resend = (hasNewId: boolean) => {
    if (cannotResend === undefined && !isSending) onResend(hasNewId);
  };
  return (
    <div class="actions">
      <button type="button" class="main" {...sending} onClick={() => resend(false)}>
        Send again
      </button>
      {id !== undefined && (
        <button type="button" {...sending} onClick={() => resend(true)}>
          Send with a new event id
        </button>
      )}
      <span class="copies">
        <span class="quiet" id="copy-label">
          Copy as
        </span>
        <button type="button" aria-describedby="copy-label" onClick={() => onCopy('curl', asCurl(delivery, url))}>
          curl
        </button>
        <button type="button" aria-describedby="copy-label" onClick={() => onCopy('JSON', asJson(delivery))}>
          JSON
        </button>
        <button type="button" aria-describedby="copy-label" onClick={() => onCopy('a test', asTest(delivery, url))}>
          test
        </button>
      </span>
      <p class="quiet note" id="resend-note">
        {cannotResend ?? `It will be signed afresh and sent to ${target}.`}
      </p>
    </div>
  );
}

function Why({ delivery, explanation }: Pick<PageDetail, 'delivery' | 'explanation'>) {
  const { code, reason, message } = delivery;
  if (code === undefined) return null;
  const causes = explanation?.causes ?? [];
  return (
    <section class={`why-box ${delivery.result}`} aria-labelledby="why-title">
      <h3 id="why-title">Why it was {delivery.result === 'rejected' ? 'refused' : 'not taken'}</h3>
      <p>
        <code>{reason ?? code}</code>
        {message !== undefined && <>: {shown(message)}</>}
      </p>
      {causes.length > 0 && (
        <dl class="causes">
          {causes.map((each) => (
            <div key={each.code}>
              <dt>
                <bdi>{shown(each.cause)}.</bdi>
              </dt>
              <dd>
                What to do: <bdi>{shown(each.cure)}.</bdi>
              </dd>
            </div>
          ))}
        </dl>
      )}
      {explanation?.notes.map((note) => (
        <p key={note}>{shown(note)}</p>
      ))}
    </section>
  );
}

function Facts({ delivery }: { readonly delivery: LoggedDelivery }) {
  const { at, method, path, id, attempt, durationMs, skewSeconds, isEarlier } = delivery;
  const facts: [name: string, value: string][] = [
    ['Received', `${new Date(at).toLocaleString()}${isEarlier ? ', in an earlier run' : ''}`],
    ['Answered in', `${durationMs.toFixed(1)} ms`],
    ['Request', `${method} ${path}`],
  ];
  if (id !== undefined) facts.push(['Event id', id]);
  if (attempt !== undefined) facts.push(['Attempt', String(attempt)]);
  if (skewSeconds !== undefined) facts.push(['Sender’s clock', `${skewSeconds > 0 ? '+' : ''}${skewSeconds} s`]);
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>
            <bdi>{shown(value)}</bdi>
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Fates({ delivery: { sinks, forwarded } }: { readonly delivery: LoggedDelivery }) {
  const all = Object.entries(sinks);
  return (
    <>
      {forwarded !== undefined && (
        <section aria-labelledby="app-title">
          <h3 id="app-title">Your app</h3>
          {forwarded === 'pending' ? (
            <p class="quiet">It has not answered yet.</p>
          ) : (
            <>
              <p>
                {forwarded.status === 0
                  ? `No answer (${forwarded.error}): is it running?`
                  : `It answered ${forwarded.status} in ${forwarded.ms.toFixed(1)} ms.`}
              </p>
              {forwarded.body !== '' && <Scrolled label="Answer of your app">{shown(forwarded.body)}</Scrolled>}
            </>
          )}
        </section>
      )}
      {all.length > 0 && (
        <section aria-labelledby="sinks-title">
          <h3 id="sinks-title">Sinks</h3>
          <Table label="Sinks" lines={all} />
        </section>
      )}
    </>
  );
}

function Table({ label, lines }: { readonly label: string; readonly lines: readonly (readonly [string, string])[] }) {
  return (
    <table aria-label={label}>
      <tbody>
        {lines.map(([head, value], index) => (
          <tr key={index}>
            <th scope="row">
              <bdi>{shown(head)}</bdi>
            </th>
            <td class={value === 'delivered' ? value : ''}>{shown(value)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
