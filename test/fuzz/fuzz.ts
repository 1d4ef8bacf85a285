import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { anyCase, type Case, crowd, prefixes, singles } from './cases.js';
import { violationsOf } from './judge.js';
import { hashOf } from './observer.js';
import { within } from './patience.js';
import { Prober, quantile } from './prober.js';
import type { Memory, Report } from './server.js';
import { Target } from './target.js';
import { Wire } from './wire.js';

export interface FuzzOptions {
  /** The bundled server. */
  readonly script: string;
  readonly seed: number;
  /** Only services whose names hold this. */
  readonly service?: string;
  /** Only one of each adapter's services. */
  readonly oneOfEach?: boolean;
  /** Ends after so many rounds, or when so much time is over. */
  readonly rounds?: number;
  readonly minutes?: number;
  /** How many cases each service gets in a round, and how thorough the prefixes and the crowds are. */
  readonly cases?: number;
  readonly prefixStep?: number;
  readonly crowdSize?: number;
  /** As fast-check gave it: only this case is run. */
  readonly path?: string;
  /** Whether to shrink the bytes that show a violation. */
  readonly shrink?: boolean;
  readonly onProgress?: (figures: Figures) => void;
}

interface Figures {
  cases: number;
  connections: number;
  requests: number;
  outcomes: number;
  /** How often each was answered, on the endpoint. */
  readonly statuses: Record<string, number>;
  rounds: number;
}

interface Found {
  readonly violations: readonly string[];
  /** The smallest bytes that show it, a connection each. */
  readonly bytes: readonly string[];
}

interface Failure extends Found {
  readonly service: string;
  readonly seed: number;
  /** For fast-check. */
  readonly path?: string;
}

export interface Result {
  readonly figures: Figures;
  readonly failures: readonly Failure[];
  readonly memory: { readonly before: Memory; readonly after: Memory };
  /** Milliseconds that another route took, idle and meanwhile. */
  readonly latency: Readonly<Record<'idleP50' | 'idleP99' | 'p50' | 'p99' | 'most', number>>;
}

/** Far from the seeds of the rounds, which count up. */
const warmUp = 1_000_000;
/** Services that are attacked at a time. */
const atOnce = 7;
const shrinkMs = 30_000;
/** Allowed growth of the heap: compiled code and hidden classes of V8, but no request. */
// Each service remembers which sinks took an event that is not done, of up to 10,000 events.
const heapToleranceBytes = 8_000_000;
/** And for each request: of events whose record the store has failed to take, a process remembers the last 10,000. */
const rememberedBytes = 40;

/** Attacks every service at once, in rounds, until something is found or it is over. */
export async function fuzz(options: FuzzOptions): Promise<Result> {
  const target = await Target.start(options.script);
  const fuzzer = new Fuzzer(target, options);
  try {
    return await fuzzer.run();
  } finally {
    await target.stop();
  }
}

class Fuzzer {
  readonly #target: Target;
  readonly #options: FuzzOptions;
  readonly #services: readonly string[];
  readonly #prober: Prober;
  readonly #failures: Failure[] = [];
  readonly #figures: Figures = { cases: 0, connections: 0, requests: 0, outcomes: 0, statuses: {}, rounds: 0 };
  #serial = 0;

  constructor(target: Target, options: FuzzOptions) {
    this.#target = target;
    this.#options = options;
    const { service = '', oneOfEach = false } = options;
    // A failure names a whole service name, which may be the beginning of others.
    const names = Object.keys(target.ports).filter((name, _, all) =>
      all.includes(service) ? name === service : name.includes(service),
    );
    const adapters = new Set(names.map((name) => name.split(',')[0]));
    const kinds = names.length / adapters.size;
    this.#services = oneOfEach ? names.filter((_, i) => i % kinds === Math.floor(i / kinds) % kinds) : names;
    if (this.#services.length === 0) throw new TypeError(`no such service: ${options.service}`);
    this.#prober = new Prober(this.#services.map((name) => target.ports[name] as number));
  }

  async run(): Promise<Result> {
    const { seed, rounds = Number.POSITIVE_INFINITY, minutes = Number.POSITIVE_INFINITY, path } = this.#options;
    const until = performance.now() + minutes * 60_000;
    this.#prober.start();
    if (path === undefined) await this.#each((service) => this.#search(service, seed + warmUp, 0.5));
    this.#prober.take();
    if (this.#failures.length === 0) await sleep(500);
    const idle = this.#prober.take();
    const before = await this.#target.call('memory');
    for (let round = 0; round < rounds && performance.now() < until && this.#failures.length === 0; round++) {
      await this.#round(seed + round);
      this.#figures.rounds++;
    }
    const meanwhile = this.#prober.take();
    await this.#prober.stop();
    const found = this.#failures.length > 0;
    // The last leases, deadlines and connections that are kept alive end meanwhile.
    if (!found) await sleep(1_500);
    const after = await this.#target.call('memory');
    const latency = {
      idleP50: quantile(idle, 0.5),
      idleP99: quantile(idle, 0.99),
      p50: quantile(meanwhile, 0.5),
      p99: quantile(meanwhile, 0.99),
      most: Math.max(0, ...meanwhile),
    };
    if (!found) {
      this.#judgeAll(before, after, latency);
      await this.#close();
    }
    return { figures: this.#figures, failures: this.#failures, memory: { before, after }, latency };
  }

  async #round(seed: number): Promise<void> {
    const { prefixStep = 4, crowdSize = 200, path } = this.#options;
    const ends = ['hang up', 'reset', 'half-close', 'wait'] as const;
    const end = ends[Math.abs(seed) % ends.length] as (typeof ends)[number];
    const crowded = this.#services[Math.abs(seed) % this.#services.length] as string;
    if (path === undefined) {
      await this.#eachTries(seed, singles());
      await this.#eachTries(seed, prefixes(end, prefixStep));
      await this.#tryAll(crowded, seed, [crowd(crowdSize)]);
    }
    await this.#each((service) => this.#search(service, seed, 1));
  }

  async #eachTries(seed: number, cases: readonly Case[]): Promise<void> {
    if (this.#failures.length > 0) return;
    await this.#each((service) => this.#tryAll(service, seed, cases));
  }

  /** Some at a time, or it would be the machine that is attacked. */
  async #each(attack: (service: string) => Promise<void>): Promise<void> {
    const waiting = [...this.#services];
    const work = async () => {
      for (let service = waiting.shift(); service !== undefined; service = waiting.shift()) await attack(service);
    };
    await Promise.all(Array.from({ length: atOnce }, work));
  }

  async #search(service: string, seed: number, share: number): Promise<void> {
    const { cases = 60, path } = this.#options;
    if (cases === 0 || (path === undefined && this.#failures.length > 0)) return;
    let first: Found | undefined;
    const property = fc.asyncProperty(anyCase, async (tried) => {
      const { violations, bytes } = await this.#try(service, tried);
      if (violations.length === 0) return;
      first ??= { violations: [...violations, '(not found again: it may hang on the machine)'], bytes };
      throw new Error(violations.join('\n'));
    });
    const details = await fc.check(property, {
      // Other cases for each, and the same whichever services run beside it.
      seed: seed ^ Number.parseInt(hashOf(Buffer.from(service)).slice(0, 7), 16),
      path,
      numRuns: Math.ceil(cases * share),
      interruptAfterTimeLimit: cases * 1_000 + shrinkMs,
      // Shrinking tries many cases, and each hang takes its time.
      endOnFailure: path !== undefined || this.#options.shrink === false,
    });
    if (!details.failed || details.counterexample === null) return;
    const [smallest] = details.counterexample;
    const again = await this.#try(service, smallest);
    const found = again.violations.length > 0 || first === undefined ? again : first;
    this.#failures.push({ service, seed, path: details.counterexamplePath ?? undefined, ...found });
  }

  async #tryAll(service: string, seed: number, cases: readonly Case[]): Promise<void> {
    for (const tried of cases) {
      if (this.#failures.length > 0) return;
      const found = await this.#try(service, tried);
      if (found.violations.length > 0)
        this.#failures.push({ service, seed, ...(await this.#alone(service, tried, found)) });
    }
  }

  /** The one connection of many that shows something by itself, if there is one. */
  async #alone(service: string, { lanes }: Case, all: Found): Promise<Found> {
    if (this.#options.shrink === false) return all;
    for (const lane of lanes) {
      const found = await this.#try(service, { lanes: [lane] });
      if (found.violations.length > 0) return found;
    }
    return {
      violations: [...all.violations, '(not found with one connection at a time)'],
      bytes: all.bytes.slice(0, 5),
    };
  }

  async #try(service: string, { lanes }: Case): Promise<Found> {
    const port = this.#target.ports[service] as number;
    const events = Math.max(2, ...lanes.flatMap(({ requests }) => requests.map(({ event }) => event + 1)));
    const serials = Array.from({ length: events }, () => (++this.#serial).toString(16).padStart(8, '0'));
    await this.#target.call('begin', service);
    const wires = await Promise.all(lanes.map((lane) => Wire.open(port, lane, serials)));
    const ports = wires.map((wire) => wire.port);
    await this.#target.call('accepted', service, ports);
    await Promise.all(wires.map((wire) => wire.send()));
    const waiting = wires.filter(({ lane }) => lane.end === 'wait' || lane.end === 'half-close');
    const during = await this.#target.call(
      'settled',
      service,
      Object.fromEntries(waiting.map((wire) => [wire.port, wire.sent])),
    );
    await this.#arrived(waiting, during);
    for (const wire of wires) wire.hangUp();
    const after = await this.#target.call('over', service, ports);
    this.#count(after, wires.length);
    return {
      violations: violationsOf({ wires, during, after }),
      bytes: wires.map((wire) => `${JSON.stringify(wire.bytes.toString('latin1'))}, then ${wire.lane.end}`),
    };
  }

  /** The server's bytes need a moment to arrive. */
  async #arrived(wires: readonly Wire[], { requests }: Report): Promise<void> {
    const isThere = (wire: Wire) => {
      const due = requests.filter(({ port, status }) => port === wire.port && status !== undefined);
      return wire.isClosed || wire.answers(due).own.length >= due.length;
    };
    await within(1_000, () => wires.every(isThere));
  }

  #count({ requests, outcomes }: Report, connections: number): void {
    const figures = this.#figures;
    figures.cases++;
    figures.connections += connections;
    figures.requests += requests.length;
    figures.outcomes += outcomes.length;
    for (const { status } of outcomes) figures.statuses[status] = (figures.statuses[status] ?? 0) + 1;
    this.#options.onProgress?.(figures);
  }

  #judgeAll(before: Memory, after: Memory, { idleP99, p99 }: Result['latency']): void {
    const violations = [...new Set(this.#prober.failures)];
    const grown = after.heapBytes - before.heapBytes;
    if (grown > heapToleranceBytes + rememberedBytes * this.#figures.requests)
      violations.push(`the heap has grown by ${Math.round(grown / 1_000)} kB`);
    for (const [kind, count] of Object.entries(after.resources)) {
      const was = before.resources[kind] ?? 0;
      // The prober's connections were open then, and timers of the test's own come and go.
      if (kind !== 'TCPSocketWrap' ? count > was + 2 : count > 0)
        violations.push(`${kind}: ${count} where ${was} had been`);
    }
    // A few rounds say how busy the machine is.
    if (this.#options.minutes !== undefined && p99 > 1_000 + 50 * idleP99) {
      violations.push(`another route took ${p99.toFixed()} ms (p99), and ${idleP99.toFixed()} ms when idle`);
    }
    if (violations.length > 0) this.#fail('all', violations);
  }

  /** A service whose counters are wrong never comes to rest. */
  async #close(): Promise<void> {
    for (const service of this.#services) {
      const isAtRest = await this.#target.call('close', service);
      if (!isAtRest) this.#fail(service, ['close() does not resolve although nothing is in flight']);
    }
  }

  #fail(service: string, violations: readonly string[]): void {
    this.#failures.push({ service, seed: this.#options.seed, violations, bytes: [] });
  }
}
