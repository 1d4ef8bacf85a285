import type { DeliverySummary } from '../delivery-log.js';
import type { PageBatch } from '../page-server.js';

export const verdicts = ['accepted', 'duplicate', 'rejected', 'failed'] as const;
export type Verdict = (typeof verdicts)[number];

export interface Filter {
  readonly text: string;
  /** Empty for all. */
  readonly type: string;
  /** Empty for all. */
  readonly verdict: Verdict | '';
}

export const noFilter: Filter = { text: '', type: '', verdict: '' };

/** A delivery, with the text in which the filter looks. */
export interface Row extends DeliverySummary {
  readonly searched: string;
}

export interface Found {
  /** The newest first. */
  readonly rows: readonly Row[];
  /** How many of each verdict there are, whichever of them is chosen. */
  readonly counts: Readonly<Record<Verdict, number>>;
  /** How many of each type there are at all. */
  readonly types: readonly (readonly [type: string, count: number])[];
}

/** The deliveries that the page knows, by their numbers. */
export class Deliveries {
  /** The oldest first, as they come. */
  readonly #rows: Row[] = [];

  get size(): number {
    return this.#rows.length;
  }

  clear(): void {
    this.#rows.length = 0;
  }

  /** Gives those that were not known. */
  add({ oldest, deliveries }: PageBatch): Row[] {
    const fresh: Row[] = [];
    for (const delivery of deliveries) {
      const row = { ...delivery, searched: searchedIn(delivery) };
      const at = this.#placeOf(row.number);
      if (this.#rows[at]?.number === row.number) {
        this.#rows[at] = row;
      } else {
        this.#rows.splice(at, 0, row);
        fresh.push(row);
      }
    }
    this.#rows.splice(0, this.#placeOf(oldest));
    return fresh;
  }

  get(number: number): Row | undefined {
    const row = this.#rows[this.#placeOf(number)];
    return row?.number === number ? row : undefined;
  }

  /** The index of the first that is not older. */
  #placeOf(number: number): number {
    let [from, to] = [0, this.#rows.length];
    // New ones come at the end.
    if ((this.#rows.at(-1)?.number ?? 0) < number) return to;
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((this.#rows[middle] as Row).number < number) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  find({ text, type, verdict }: Filter): Found {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const counts = { accepted: 0, duplicate: 0, rejected: 0, failed: 0 };
    const types = new Map<string, number>();
    const rows: Row[] = [];
    for (let at = this.#rows.length - 1; at >= 0; at--) {
      const row = this.#rows[at] as Row;
      if (row.type !== undefined) types.set(row.type, (types.get(row.type) ?? 0) + 1);
      if (type !== '' && row.type !== type) continue;
      if (!words.every((word) => row.searched.includes(word))) continue;
      counts[row.result]++;
      if (verdict === '' || row.result === verdict) rows.push(row);
    }
    return { rows, counts, types: [...types].sort(([a], [b]) => (a < b ? -1 : 1)) };
  }
}

function searchedIn({ number, type, subject, id, code, reason, status, sinks }: DeliverySummary): string {
  return [`#${number}`, type, subject, id, code, reason, status, ...Object.keys(sinks)]
    .filter(Boolean)
    .join('\n')
    .toLowerCase();
}

export function verdictOf({ result, permanent }: Pick<DeliverySummary, 'result' | 'permanent'>): string {
  return result === 'failed' && permanent ? 'failed, lost' : result;
}
