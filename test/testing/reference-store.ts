import type { ClaimResult, IdempotencyStore } from '../../src/contracts/store.js';

export interface Entry {
  state: 'held' | 'released' | 'completed';
  token: string;
  until: number;
  delivered: string[];
}

/** The contract as plainly as it goes, over promises, in parts that can be replaced by wrong ones. */
export class ReferenceStore implements IdempotencyStore {
  protected readonly entries = new Map<string, Entry>();

  async claim(key: string, token: string, leaseMs: number): Promise<ClaimResult> {
    const answer = this.look(key, token);
    if (answer.state === 'acquired') this.hold(key, token, leaseMs, answer.delivered);
    return answer;
  }

  async renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    return this.change(key, token, (entry) => ({ ...entry, until: this.after(leaseMs) }));
  }

  async delivered(key: string, token: string, sink: string): Promise<boolean> {
    return this.change(key, token, (entry) => ({ ...entry, delivered: this.with(entry.delivered, sink) }));
  }

  async complete(key: string, token: string, ttlMs: number): Promise<boolean> {
    return this.change(key, token, () => ({ state: 'completed', token, until: this.after(ttlMs), delivered: [] }));
  }

  async release(key: string, token: string, ttlMs: number): Promise<boolean> {
    return this.change(key, token, (entry) => ({ ...entry, state: 'released', until: this.after(ttlMs) }));
  }

  protected keyOf(key: string): string {
    return key;
  }

  protected now(): number {
    return performance.now();
  }

  protected after(durationMs: number): number {
    return this.now() + durationMs;
  }

  protected with(delivered: readonly string[], sink: string): string[] {
    return [...new Set([...delivered, sink])];
  }

  /** Whether the claim is the token's. */
  protected isHeldBy(entry: Entry | undefined, token: string): entry is Entry {
    return entry?.state === 'held' && entry.token === token;
  }

  /** The answer to a claim. */
  protected look(key: string, token: string): ClaimResult {
    const entry = this.entries.get(this.keyOf(key));
    if (entry === undefined) return { state: 'acquired', delivered: [] };
    const leftMs = entry.until - this.now();
    if (leftMs > 0 && entry.state === 'completed') return { state: 'completed' };
    if (leftMs > 0 && entry.state === 'held' && entry.token !== token)
      return { state: 'in_flight', retryAfterMs: leftMs };
    const isKept = leftMs > 0 || entry.state === 'held';
    return { state: 'acquired', delivered: isKept ? entry.delivered : [] };
  }

  protected hold(key: string, token: string, leaseMs: number, delivered: readonly string[]): void {
    const until = this.after(leaseMs);
    this.entries.set(this.keyOf(key), { state: 'held', token, until, delivered: [...delivered] });
  }

  protected change(key: string, token: string, to: (entry: Entry) => Entry): boolean {
    const entry = this.entries.get(this.keyOf(key));
    if (!this.isHeldBy(entry, token)) return false;
    this.entries.set(this.keyOf(key), to(entry));
    return true;
  }
}
