import type { ChatMessage } from '../chat-messages.js';
import type { Done, PageBatch, PageDetail, PageStart, Places } from '../page-server.js';
import { Deliveries, type Row } from './deliveries.js';

export type Status = 'connecting' | 'connected' | 'lost';

/** What the page knows, and how it is changed. Its listeners hear of changes once a frame. */
export class Connection {
  readonly deliveries = new Deliveries();
  status: Status = 'connecting';
  /** Whether the deliveries from before are all here. */
  isReady = false;
  places: Places | undefined;
  types: readonly string[] = [];
  /** Counts the changes. */
  version = 0;
  readonly #token = contentOf('token');
  readonly #run = contentOf('run');
  #listener: () => void = () => {};
  #frame = 0;
  #onNews: (fresh: readonly Row[]) => void = () => {};

  open(listener: () => void, onNews: (fresh: readonly Row[]) => void): void {
    this.#listener = listener;
    this.#onNews = onNews;
    const events = new EventSource('/events');
    const on = <Value>(name: string, hear: (value: Value) => void) =>
      events.addEventListener(name, ({ data }) => {
        hear(JSON.parse(data));
        this.#changed();
      });
    on('start', ({ run, types }: PageStart) => {
      // Another run has another token.
      if (run !== this.#run) location.reload();
      this.types = types;
      this.isReady = false;
      this.deliveries.clear();
    });
    on('places', (places: Places) => {
      this.places = places;
    });
    on('deliveries', (batch: PageBatch) => {
      const fresh = this.deliveries.add(batch);
      if (this.isReady && fresh.length > 0) this.#onNews(fresh);
    });
    on('ready', () => {
      this.isReady = true;
      this.status = 'connected';
    });
    events.addEventListener('error', () => {
      this.status = 'lost';
      this.#changed();
    });
  }

  #changed(): void {
    this.version++;
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#listener();
    });
  }

  detail(number: number, signal: AbortSignal): Promise<PageDetail> {
    return this.#order('/detail', { number }, signal);
  }

  messages(number: number, signal: AbortSignal): Promise<readonly ChatMessage[]> {
    return this.#order('/messages', { number }, signal);
  }

  resend(number: number, to: string, hasNewId: boolean): Promise<Done> {
    return this.#order('/resend', { number, hasNewId, ...(to && { to }) });
  }

  trigger(type: string, to: string): Promise<Done> {
    return this.#order('/trigger', { type, ...(to && { to }) });
  }

  /** Rejects with a sentence for the user. */
  async #order<Result>(path: string, order: object, signal?: AbortSignal): Promise<Result> {
    let response: Response;
    try {
      response = await fetch(path, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', 'X-Dev-Token': this.#token },
        body: JSON.stringify(order),
        signal,
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new Error('It could not be sent: is vast-webhook dev still running?');
    }
    if (response.ok) return response.json();
    const isJson = response.headers.get('content-type') === 'application/json';
    throw new Error(isJson ? (await response.json()).message : await response.text());
  }
}

function contentOf(name: string): string {
  return document.querySelector<HTMLMetaElement>(`meta[name=${name}]`)?.content ?? '';
}
