/**
 * A stand-in for Vast.ai's market of interruptible instances, with competitors. It behaves as was measured: an outbid is
 * notified before the container exits, texts round prices to cents, and a raised instance comes back by itself or has to
 * be started.
 */
import { randomBytes } from 'node:crypto';
import { type ManagementStandIn, startManagement } from './management-stand-in-server.js';

interface MarketInstance {
  readonly id: number;
  readonly machine: number;
  bid: number;
  intended: 'running' | 'stopped';
  /** From then on the container is in the intended state. Milliseconds. */
  settledAt: number;
  fields: object;
}

export interface VastMarketOptions {
  readonly now?: () => number;
  /** How long a container takes to exit or to start, in milliseconds. */
  readonly slowness?: () => number;
  /** Whether a raised instance comes back without a start. */
  readonly comesBack?: () => boolean;
  readonly onOutbid?: (event: { readonly event_id: string; readonly timestamp: number }, instance: number) => void;
}

export class VastMarket {
  /** All that reached the market, in its order. */
  readonly bids: { readonly id: number; readonly price: number; readonly before: number }[] = [];
  readonly starts: number[] = [];
  readonly stops: number[] = [];
  readonly instances = new Map<number, MarketInstance>();
  readonly #prices = new Map<number, number>();
  readonly #options: Required<VastMarketOptions>;

  constructor(options: VastMarketOptions = {}) {
    this.#options = { now: Date.now, slowness: () => 0, comesBack: () => true, onOutbid() {}, ...options };
  }

  rent(id: number, machine: number, bid: number, fields: object = {}): void {
    this.instances.set(id, { id, machine, bid, intended: 'running', settledAt: 0, fields });
  }

  /** A competitor asks for the machine at this price: from then on it is the one to reach. */
  compete(machine: number, price: number): void {
    this.#prices.set(machine, price);
    for (const instance of this.instances.values()) {
      if (instance.machine !== machine || this.#wins(instance) || instance.intended === 'stopped') continue;
      this.#intend(instance, 'stopped');
      this.#options.onOutbid(this.outbidOf(instance), instance.id);
    }
  }

  outbidOf({ id, machine, bid }: MarketInstance) {
    const cents = (price: number) => `$${price.toFixed(2)}/hr`;
    const price = this.#prices.get(machine) ?? 0;
    return {
      event_id: randomBytes(16).toString('hex'),
      user_id: 123,
      notif_type: 'outbid',
      subject: `Your Interruptible Instance #${id} Has Been Outbid`,
      message: `Your interruptible instance ${id} on machine ${machine} has been outbid and will be stopped. Your bid was ${cents(bid)} and the current minimum bid is ${cents(price)}. Update your bid at https://cloud.vast.ai/instances/ to keep it running.`,
      timestamp: this.#options.now() / 1000,
    };
  }

  isRunning(id: number): boolean {
    const { actual_status, intended_status } = Object(this.show(id));
    return actual_status === 'running' && intended_status === 'running';
  }

  show(id: number): object | undefined {
    const instance = this.instances.get(id);
    if (!instance) return undefined;
    const isSettled = this.#options.now() >= instance.settledAt;
    const running = (instance.intended === 'running') === isSettled;
    return {
      id,
      label: null,
      machine_id: instance.machine,
      num_gpus: 1,
      is_bid: true,
      dph_base: instance.bid,
      // To follow this is a spiral.
      min_bid: Math.max(0.028, 1.2 * instance.bid),
      intended_status: instance.intended,
      actual_status: running ? 'running' : 'exited',
      status_msg: 'success, running vastai/pytorch',
      ...instance.fields,
    };
  }

  setBid(id: number, price: number): boolean {
    const instance = this.instances.get(id);
    if (!instance) return false;
    this.bids.push({ id, price, before: instance.bid });
    instance.bid = price;
    if (!this.#wins(instance)) this.#intend(instance, 'stopped');
    else if (this.#options.comesBack()) this.#intend(instance, 'running');
    return true;
  }

  setState(id: number, state: 'running' | 'stopped'): boolean {
    const instance = this.instances.get(id);
    if (!instance) return false;
    (state === 'running' ? this.starts : this.stops).push(id);
    if (state === 'stopped' || this.#wins(instance)) this.#intend(instance, state);
    return true;
  }

  #wins({ machine, bid }: MarketInstance): boolean {
    return bid >= (this.#prices.get(machine) ?? 0);
  }

  #intend(instance: MarketInstance, state: 'running' | 'stopped'): void {
    if (instance.intended === state) return;
    instance.intended = state;
    instance.settledAt = this.#options.now() + this.#options.slowness();
  }
}

interface VastMarketStandIn extends ManagementStandIn<never> {
  readonly market: VastMarket;
  /** The rows of the inbox. Push to it to add some. */
  readonly inbox: unknown[];
}

/** The market behind Vast.ai's calls on instances, on loopback. Its `url` ends in no version. */
export async function startVastMarket(options: VastMarketOptions = {}): Promise<VastMarketStandIn> {
  const market = new VastMarket(options);
  const inbox: unknown[] = [];
  const error = (status: number, word: string, msg: string) => ({ status, body: { success: false, error: word, msg } });
  const noInstance = error(404, 'no_such_instance', 'Instance with that ID does not exist.');
  const done = (found: boolean) => (found ? { status: 200, body: { success: true } } : noInstance);
  const badRequest = (reason: string) => error(400, 'invalid_args', reason);

  const page = (query: URLSearchParams) => {
    const limit = Number(query.get('limit'));
    if (!(limit >= 1 && limit <= 25)) return badRequest('limit');
    const all = [...market.instances.keys()].sort((a, b) => a - b);
    const after = query.get('after_token');
    const from = after ? all.findIndex((id) => `id:${id}/=` === after) + 1 : 0;
    if (after && from === 0) return error(400, 'invalid_token', 'after_token');
    const ids = all.slice(from, from + limit);
    const next = from + limit < all.length ? `id:${ids.at(-1)}/=` : null;
    return { status: 200, body: { success: true, instances: ids.map((id) => market.show(id)), next_token: next } };
  };

  const standIn = await startManagement<never>(
    {
      basePath: '/api',
      apiKey: randomBytes(32).toString('hex'),
      webhooks: [],
      isAuthorized: ({ authorization }, key) => authorization === `Bearer ${key}`,
      unauthorized: () => error(401, 'auth_error', 'Invalid user key'),
      badRequest,
      tooManyRequests: () => ({ status: 429, body: { detail: 'API requests too frequent endpoint threshold=5.5' } }),
      answer(method, target, body) {
        const { pathname, searchParams } = new URL(target, 'http://localhost');
        const fields = Object(body) as { client_id?: unknown; price?: number; state?: 'running' | 'stopped' };
        if (`${method} ${pathname}` === 'GET /v1/instances/') return page(searchParams);
        if (`${method} ${pathname}` === 'GET /v0/notifications/inbox/') {
          return { status: 200, body: { success: true, notifications: inbox, last_seen_at: null, unread_count: 0 } };
        }
        const [, id] = /^\/v0\/instances\/(?:bid_price\/)?(\d+)\/$/.exec(pathname) ?? [];
        if (id === undefined) return undefined;
        if (method === 'PUT' && pathname.includes('bid_price')) {
          const { client_id, price = 0 } = fields;
          if (client_id !== 'me' || !(price >= 0.001 && price <= 32)) return badRequest('price');
          return done(market.setBid(Number(id), price));
        }
        if (method === 'PUT' && fields.state) return done(market.setState(Number(id), fields.state));
        const instance = market.show(Number(id));
        return method === 'GET' ? (instance ? { status: 200, body: { instances: instance } } : noInstance) : undefined;
      },
    },
    {},
  );
  return Object.assign(standIn, { market, inbox });
}
