import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** Calls the services' other route all the time, and records the durations. */
export class Prober {
  readonly #ports: readonly number[];
  #isOver = false;
  #probing: Promise<void> | undefined;
  /** Milliseconds of each that was answered 200. */
  times: number[] = [];
  readonly failures: string[] = [];

  constructor(ports: readonly number[]) {
    this.#ports = ports;
  }

  start(): void {
    this.#probing = this.#probe();
  }

  /** The milliseconds so far, which it forgets. */
  take(): number[] {
    const { times } = this;
    this.times = [];
    return times;
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#probing;
  }

  async #probe(): Promise<void> {
    for (let i = 0; !this.#isOver; i++) {
      const from = performance.now();
      const status = await this.#ask(this.#ports[i % this.#ports.length] as number);
      if (status === 200) this.times.push(performance.now() - from);
      else this.failures.push(`another route was answered ${status}`);
      await sleep(5);
    }
  }

  #ask(port: number): Promise<number | string> {
    return new Promise((resolve) => {
      const headers = { 'Content-Type': 'application/json', 'Content-Length': 2 };
      const asked = request({
        port,
        host: '127.0.0.1',
        path: '/elsewhere?probe',
        method: 'POST',
        headers,
        // Not kept alive: a service may close it just then.
        agent: false,
      })
        .on('response', (response) => {
          response.resume().on('end', () => resolve(response.statusCode ?? 0));
        })
        .setTimeout(15_000, () => asked.destroy(new Error('not within 15 s')))
        .on('error', (error) => resolve(error.message));
      asked.end('{}');
    });
  }
}

/** The time that so much of all stays below. */
export function quantile(times: readonly number[], part: number): number {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0;
}
