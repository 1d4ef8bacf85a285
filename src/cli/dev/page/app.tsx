import { useEffect, useReducer, useRef, useState } from 'preact/hooks';
import type { Done } from '../page-server.js';
import type { Connection } from './connection.js';
import { type Filter, type Found, noFilter, type Row, type Verdict, verdictOf, verdicts } from './deliveries.js';
import { Detail } from './detail.js';
import { Empty } from './empty.js';
import { List } from './list.js';
import { plural, shown } from './text.js';
import { VerdictBadge } from './verdict.js';

/** What was done last, with the event that a new id can be given to. */
interface Said {
  readonly text: string;
  readonly duplicateOf?: number;
}

/** Together they are announced once, since a flood of them could not be followed. */
const announceAfterMs = 300;
/** Of the browser's history, while a delivery is read. */
const readingState = 'reading';

export function App({ connection }: { readonly connection: Connection }) {
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  const [filter, setFilter] = useState<Filter>(noFilter);
  const [selected, setSelected] = useState<number | undefined>(() => numberIn(location.hash));
  const [isOpen, setOpen] = useState(selected !== undefined);
  const [said, say] = useState<Said>({ text: '' });
  const [isSending, setSending] = useState(false);
  const [type, setType] = useState('webhook_test');
  const [to, setTo] = useState('');
  const [chat, setChat] = useState('slack');
  const [news, setNews] = useState('');
  const heading = useRef<HTMLHeadingElement>(null);
  const search = useRef<HTMLInputElement>(null);

  useEffect(() => {
    let timer = 0;
    let unheard = 0;
    connection.open(
      () => redraw(undefined),
      (fresh) => {
        unheard += fresh.length;
        clearTimeout(timer);
        timer = window.setTimeout(() => {
          setNews(newsOf(fresh.at(-1) as Row, unheard));
          unheard = 0;
        }, announceAfterMs);
      },
    );
    const onWayBack = () => {
      setSelected(numberIn(location.hash));
      setOpen(history.state === readingState);
    };
    addEventListener('popstate', onWayBack);
    return () => removeEventListener('popstate', onWayBack);
  }, []);

  const { deliveries, places, status, types } = connection;
  const found = deliveries.find(filter);
  const row = selected === undefined ? undefined : deliveries.get(selected);

  const select = (number: number) => {
    setSelected(number);
    history.replaceState(history.state, '', `#${number}`);
  };
  const open = () => {
    // So that the browser's way back leads to the list.
    if (!isOpen) history.pushState(readingState, '', location.hash);
    setOpen(true);
    requestAnimationFrame(() => heading.current?.focus());
  };
  const close = () => {
    if (history.state === readingState) history.back();
    setOpen(false);
    requestAnimationFrame(() => document.getElementById('deliveries')?.focus());
  };
  const send = async (order: Promise<Done>, duplicateOf?: number) => {
    setSending(true);
    say({ text: 'Sending…' });
    try {
      const { message, isDuplicate } = await order;
      say({ text: message, ...(isDuplicate && { duplicateOf }) });
    } catch (error) {
      say({ text: (error as Error).message });
    } finally {
      setSending(false);
    }
  };
  const resend = (number: number, hasNewId: boolean) => send(connection.resend(number, to, hasNewId), number);
  const copy = async (what: string, text: string) => {
    try {
      await navigator.clipboard.writeText(text);
      say({ text: `Copied as ${what}.` });
    } catch {
      say({ text: 'The browser allows no copying here: it needs the page to be in front.' });
    }
  };
  const target = to === '' ? (places?.receiver ?? 'the receiver') : to;

  return (
    <div class="page" data-pane={isOpen && row !== undefined ? 'detail' : 'list'}>
      <header>
        <h1>
          vast-webhook <span>dev</span>
        </h1>
        <p id="connection" role="status" class={status}>
          {statusTexts[status]}
        </p>
        <p class="places">
          {places?.webhook !== undefined && <Place what="from Vast.ai" url={places.webhook} />}
          <Place what="receives" url={places?.receiver ?? ''} />
          {places?.forwardTo !== undefined && <Place what="passes on to" url={places.forwardTo} />}
        </p>
      </header>
      <form
        class="send"
        aria-label="Send a sample"
        onSubmit={(event) => {
          event.preventDefault();
          if (!isSending) send(connection.trigger(type, to));
        }}
      >
        <label class="field">
          <span>Sample</span>
          <select id="type" value={type} onChange={({ currentTarget }) => setType(currentTarget.value)}>
            {types.map((each) => (
              <option key={each} value={each}>
                {each}
              </option>
            ))}
          </select>
        </label>
        <label class="field to">
          <span>to</span>
          <input
            type="url"
            value={to}
            placeholder={places?.receiver}
            list="targets"
            spellcheck={false}
            onInput={({ currentTarget }) => setTo(currentTarget.value.trim())}
          />
        </label>
        <datalist id="targets">
          {[places?.receiver, places?.forwardTo].map((each) => each && <option key={each} value={each} />)}
        </datalist>
        <button type="submit" class="main" aria-disabled={isSending}>
          Sign and send
        </button>
        <p id="done" role="status">
          {shown(said.text)}{' '}
          {said.duplicateOf !== undefined && (
            <button type="button" onClick={() => resend(said.duplicateOf as number, true)}>
              Send it with a new event id
            </button>
          )}
        </p>
      </form>
      <main>
        <section class="pane list-pane" aria-label="All deliveries">
          <Filters filter={filter} found={found} onFilter={setFilter} search={search} />
          {deliveries.size === 0 && status !== 'connecting' ? (
            <Empty places={places} onSend={() => send(connection.trigger('webhook_test', to))} onCopy={copy} />
          ) : found.rows.length === 0 && status !== 'connecting' ? (
            <div class="empty">
              <p>No delivery matches the filter.</p>
              <button type="button" onClick={() => setFilter(noFilter)}>
                Show all {deliveries.size}
              </button>
            </div>
          ) : (
            <List
              rows={found.rows}
              selected={selected}
              onSelect={select}
              onOpen={open}
              onSearch={() => search.current?.focus()}
            />
          )}
          <p class="keys quiet" aria-hidden="true">
            <kbd>↑</kbd> <kbd>↓</kbd> choose <kbd>Enter</kbd> read <kbd>Esc</kbd> back <kbd>/</kbd> filter
          </p>
        </section>
        <section class="pane detail-pane" aria-label="One delivery">
          {row === undefined ? (
            <p class="quiet nothing">Choose a delivery to see its body, its headers and what became of it.</p>
          ) : (
            <Detail
              connection={connection}
              row={row}
              heading={heading}
              chat={chat}
              onChat={setChat}
              target={target}
              isSending={isSending}
              onResend={(hasNewId) => resend(row.number, hasNewId)}
              onCopy={copy}
              onClose={close}
            />
          )}
        </section>
      </main>
      <p id="news" class="hidden" role="log" aria-live="polite" aria-label="Newest delivery">
        {news}
      </p>
    </div>
  );
}

const statusTexts = {
  connecting: 'Connecting…',
  connected: 'Connected',
  lost: 'Not connected: is vast-webhook dev still running?',
};

function Place({ what, url }: { readonly what: string; readonly url: string }) {
  return (
    <span class="place">
      <span class="quiet">{what}</span> <code>{url}</code>
    </span>
  );
}

interface FiltersProps {
  readonly filter: Filter;
  readonly found: Found;
  readonly onFilter: (filter: Filter) => void;
  readonly search: { current: HTMLInputElement | null };
}

function Filters({ filter, found: { counts, types }, onFilter, search }: FiltersProps) {
  const all = verdicts.reduce((sum, verdict) => sum + counts[verdict], 0);
  const chip = (verdict: Verdict | '', count: number) => (
    <button
      key={verdict}
      type="button"
      class={`chip ${verdict}`}
      aria-pressed={filter.verdict === verdict}
      onClick={() => onFilter({ ...filter, verdict: filter.verdict === verdict ? '' : verdict })}
    >
      {verdict !== '' && <VerdictBadge result={verdict} />}
      <span class={verdict && 'chip-word'}>{verdict === '' ? 'all' : verdict}</span> <b>{count}</b>
    </button>
  );
  return (
    <search class="filters">
      <label class="field text">
        <span class="hidden">Filter by text</span>
        <input
          type="search"
          ref={search}
          value={filter.text}
          placeholder="Filter by text"
          spellcheck={false}
          onInput={({ currentTarget }) => onFilter({ ...filter, text: currentTarget.value })}
          onKeyDown={({ key }) => {
            if (key === 'Enter' || key === 'ArrowDown') document.getElementById('deliveries')?.focus();
          }}
        />
      </label>
      <label class="field">
        <span class="hidden">Filter by type</span>
        <select
          value={filter.type}
          onChange={({ currentTarget }) => onFilter({ ...filter, type: currentTarget.value })}
        >
          <option value="">all types</option>
          {types.map(([type, count]) => (
            <option key={type} value={type}>
              {shown(type)} ({count})
            </option>
          ))}
        </select>
      </label>
      <fieldset class="chips" aria-label="Filter by verdict">
        {chip('', all)}
        {verdicts.map((verdict) => chip(verdict, counts[verdict]))}
      </fieldset>
    </search>
  );
}

function newsOf(row: Row, unheard: number): string {
  const { number, type, status, code, reason } = row;
  const more = unheard > 1 ? `${plural(unheard, 'delivery', 'deliveries')}. ` : '';
  const what = [verdictOf(row), status || 'no answer', type, code, reason].filter(Boolean).join(', ');
  return shown(`${more}Delivery ${number}: ${what}`);
}

function numberIn(hash: string): number | undefined {
  return /^#\d{1,9}$/.test(hash) ? Number(hash.slice(1)) : undefined;
}
