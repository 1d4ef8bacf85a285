import { sampleEvent } from '../../src/testing/index.js';

/** A row as captures show it. `created_at` is Unix seconds of the sender. */
export function rowOf(event_id: string, created_at: number, fields: object = {}) {
  const { notif_type, subject, message } = sampleEvent('outbid');
  const associated_id = { instance_id: 48927380, machine_id: 46110, your_bid: 0.031, new_min_bid: 0.0625 };
  return { event_id, notif_type, subject, message, created_at, user_context: 'client', associated_id, ...fields };
}

type Fault = () => Response | Promise<Response>;

/** Vast.ai's notification inbox in place of `fetch`, so that it lives in the time of fake timers. */
export class InboxStandIn {
  /** Of all times. The answer has the newest 50. */
  readonly rows: unknown[] = [];
  /** Times of the calls, of this machine. */
  readonly calls: number[] = [];
  readonly methods: (string | undefined)[] = [];
  /** The sender's clock minus this machine's, in seconds. */
  aheadSeconds = 0;
  length = 50;
  fault: Fault | undefined;

  /** The sender's time, in Unix seconds. */
  get now(): number {
    return Date.now() / 1000 + this.aheadSeconds;
  }

  /** Adds a row of now. */
  add(event_id: string, fields: object = {}) {
    const row = rowOf(event_id, this.now, fields);
    this.rows.push(row);
    return row;
  }

  readonly fetch = async (_url: unknown, { method, signal }: RequestInit = {}): Promise<Response> => {
    this.calls.push(Date.now());
    this.methods.push(method);
    if (this.fault === undefined) return this.answer();
    const aborted = new Promise<never>((_, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason));
    });
    return Promise.race([this.fault(), aborted]);
  };

  answer(headers: Record<string, string> = { Date: new Date(Math.floor(this.now) * 1000).toUTCString() }): Response {
    const timeOf = (row: unknown) => Number(Object(row).created_at ?? 0);
    const notifications = [...this.rows].sort((a, b) => timeOf(b) - timeOf(a)).slice(0, this.length);
    return Response.json({ success: true, notifications, last_seen_at: null }, { headers });
  }
}
