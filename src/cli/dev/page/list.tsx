import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { type Row, verdictOf } from './deliveries.js';
import { Dots } from './dots.js';
import { shown } from './text.js';
import { VerdictBadge } from './verdict.js';

interface ListProps {
  /** The newest first. */
  readonly rows: readonly Row[];
  readonly selected: number | undefined;
  readonly onSelect: (number: number) => void;
  /** When the selected delivery is to be read. */
  readonly onOpen: () => void;
  readonly onSearch: () => void;
}

const rowRem = 2.25;
/** On a phone, a line of the list has two lines of text. */
const narrowRowRem = 3.75;
const narrow = matchMedia('(max-width: 45rem)');
/** Beyond what can be seen, so that scrolling shows no gap. */
const spareRows = 4;
/** So many at first, and the others a frame later, because to make all elements takes longer than a frame. */
const firstLines = 12;
/** More than fit on any screen. */
const maxLines = 200;

/** A list of thousands, of which only what can be seen is in the document. */
export function List({ rows, selected, onSelect, onOpen, onSearch }: ListProps) {
  const box = useRef<HTMLDivElement>(null);
  const [{ top, height, rowHeight }, setView] = useState({ top: 0, height: 0, rowHeight: 36 });
  const [isBegun, setBegun] = useState(false);
  const anchor = useRef<{ number: number; top: number } | undefined>(undefined);

  // Only when its size changes: to ask for sizes while it is scrolled would make the browser lay it out each time.
  const measure = () => {
    const element = box.current;
    if (element === null) return;
    const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
    const tall = (narrow.matches ? narrowRowRem : rowRem) * rem;
    setView({ top: element.scrollTop, height: element.clientHeight, rowHeight: tall });
  };

  useLayoutEffect(() => {
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(box.current as HTMLDivElement);
    return () => observer.disconnect();
  }, []);

  const isEmpty = rows.length === 0;
  useEffect(() => {
    if (!isEmpty) requestAnimationFrame(() => setBegun(true));
  }, [isEmpty]);

  // What is read stays where it is when others come above it.
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null || anchor.current === undefined || element.scrollTop < rowHeight / 2) return;
    const index = indexOf(rows, anchor.current.number);
    if (rows[index]?.number === anchor.current.number) element.scrollTop = index * rowHeight + anchor.current.top;
  }, [rows]);

  const first = Math.max(0, Math.floor(top / rowHeight) - spareRows);
  const most = isBegun ? rows.length : first + firstLines;
  const last = Math.min(rows.length, most, Math.ceil((top + height) / rowHeight) + spareRows);
  const visible = rows.slice(first, last).map((row, index) => ({ row, index: first + index }));
  const at = selected === undefined ? -1 : indexOf(rows, selected);
  const chosen = rows[at]?.number === selected ? rows[at] : undefined;
  // For a screen reader, the active one is always there.
  if (chosen !== undefined && (at < first || at >= last)) visible.push({ row: chosen, index: at });

  useLayoutEffect(() => {
    const firstSeen = Math.floor(top / rowHeight);
    const row = rows[firstSeen];
    anchor.current = row && { number: row.number, top: top - firstSeen * rowHeight };
  });

  const select = (index: number) => {
    const row = rows[Math.max(0, Math.min(rows.length - 1, index))];
    const element = box.current;
    if (row === undefined || element === null) return;
    onSelect(row.number);
    const from = rows.indexOf(row) * rowHeight;
    if (from < element.scrollTop) element.scrollTop = from;
    else if (from + rowHeight > element.scrollTop + element.clientHeight)
      element.scrollTop = from + rowHeight - element.clientHeight;
  };

  const page = Math.max(1, Math.floor(height / rowHeight) - 1);
  const moves: Readonly<Record<string, () => void>> = {
    ArrowDown: () => select(chosen === undefined ? 0 : at + 1),
    ArrowUp: () => select(chosen === undefined ? 0 : at - 1),
    j: () => select(chosen === undefined ? 0 : at + 1),
    k: () => select(chosen === undefined ? 0 : at - 1),
    PageDown: () => select(at + page),
    PageUp: () => select(at - page),
    Home: () => select(0),
    End: () => select(rows.length - 1),
    Enter: () => (chosen === undefined ? select(0) : onOpen()),
    ArrowRight: () => chosen !== undefined && onOpen(),
    '/': onSearch,
  };

  return (
    <div
      id="deliveries"
      class="list"
      ref={box}
      role="listbox"
      aria-label="Deliveries"
      tabIndex={0}
      aria-activedescendant={chosen === undefined ? undefined : `row-${chosen.number}`}
      onScroll={({ currentTarget: { scrollTop } }) => setView((before) => ({ ...before, top: scrollTop }))}
      onKeyDown={(event) => {
        const isModified = event.ctrlKey || event.metaKey || event.altKey;
        if (isModified || !Object.hasOwn(moves, event.key)) return;
        event.preventDefault();
        moves[event.key]?.();
      }}
    >
      <div class="list-all" role="presentation" style={{ height: `${rows.length * rowHeight}px` }}>
        {visible.map(({ row, index }) => (
          <Line
            // Elements are used again for the lines that come into sight: to make them anew takes longer.
            key={index === at ? 'chosen' : index % maxLines}
            row={row}
            top={index * rowHeight}
            height={rowHeight}
            position={index + 1}
            size={rows.length}
            isSelected={row.number === selected}
            onSelect={onSelect}
            onOpen={onOpen}
          />
        ))}
      </div>
    </div>
  );
}

/** Numbers fall. The index of the first that is not newer. */
function indexOf(rows: readonly Row[], number: number): number {
  let [from, to] = [0, rows.length];
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((rows[middle] as Row).number > number) from = middle + 1;
    else to = middle;
  }
  return from;
}

interface LineProps {
  readonly row: Row;
  readonly top: number;
  readonly height: number;
  readonly position: number;
  readonly size: number;
  readonly isSelected: boolean;
  readonly onSelect: (number: number) => void;
  readonly onOpen: () => void;
}

const clock = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } as const;
const timeFormat = new Intl.DateTimeFormat(undefined, { ...clock, second: '2-digit' });
const hourFormat = new Intl.DateTimeFormat(undefined, clock);
const dayFormat = new Intl.DateTimeFormat(undefined, { month: 'numeric', day: 'numeric' });
const startedAt = new Date().setHours(0, 0, 0, 0);

function Line({ row, top, height, position, size, isSelected, onSelect, onOpen }: LineProps) {
  const { number, at, status, type, subject, id, code, reason, durationMs, isEarlier } = row;
  const time = new Date(at);
  const why = reason ?? code;
  return (
    // biome-ignore lint/a11y/useFocusableInteractive lint/a11y/useKeyWithClickEvents: the list has the focus and the keys
    <div
      id={`row-${number}`}
      class={`line ${row.result}`}
      role="option"
      aria-selected={isSelected}
      aria-posinset={position}
      aria-setsize={size}
      data-earlier={isEarlier}
      style={{ top: `${top}px`, height: `${height}px` }}
      onClick={() => {
        onSelect(number);
        if (narrow.matches) onOpen();
      }}
    >
      <time class="time quiet" dateTime={time.toISOString()}>
        {at < startedAt ? `${dayFormat.format(time)} ${hourFormat.format(time)}` : timeFormat.format(time)}
      </time>
      <span class={`verdict ${row.result}`}>
        <VerdictBadge result={row.result} />
        <span class="verdict-word">{verdictOf(row)}</span>
      </span>
      <span class="status quiet">{status === 0 ? 'none' : status}</span>
      <bdi class="type">{type === undefined ? <span class="quiet">no type</span> : shown(type)}</bdi>
      <span class="subject quiet">
        {why !== undefined && <span class="why">{why} </span>}
        {subject !== undefined && (
          <>
            {/* Of a delivery that is not genuine, anybody may have written it. */}
            {id === undefined ? 'unverified: ' : ''}
            <bdi>{shown(subject)}</bdi>
          </>
        )}
      </span>
      <Dots sinks={row.sinks} forwarded={row.forwarded} />
      <span class="took quiet">{took(durationMs)}</span>
    </div>
  );
}

function took(ms: number): string {
  return ms < 1000 ? `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
