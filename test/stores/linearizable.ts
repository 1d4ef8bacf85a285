import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import type { ClaimResult, IdempotencyStore } from '../../src/contracts/store.js';

const hour = 3_600_000;
const operations = ['claim', 'renew', 'delivered', 'complete', 'release'] as const;

export interface Step {
  readonly operation: (typeof operations)[number];
  readonly sink: string;
}

/** Who acts, each at one store and one step after the other. The last has the first one's token: it repeats its calls. */
const tokens = ['a', 'b', 'c', 'a'] as const;

/** The calls of each process. */
export const plans = fc.tuple(
  ...tokens.map(() =>
    fc.array(fc.record<Step>({ operation: fc.constantFrom(...operations, 'claim'), sink: fc.constantFrom('x', 'y') }), {
      maxLength: 4,
    }),
  ),
);

/** One call, with when it was begun and when it was answered, as numbers in one order. */
interface Call extends Step {
  readonly token: string;
  readonly begun: number;
  readonly ended: number;
  readonly answer: ClaimResult | boolean;
}

/** The contract for one event whose leases never expire. */
interface Model {
  readonly state: 'free' | 'held' | 'completed';
  readonly token?: string;
  readonly delivered: readonly string[];
}

const fresh: Model = { state: 'free', delivered: [] };

function step(model: Model, { operation, token, sink }: Call): { answer: unknown; next: Model } {
  const isHolder = model.state === 'held' && model.token === token;
  if (operation === 'claim') {
    if (model.state === 'completed') return { answer: { state: 'completed' }, next: model };
    if (model.state === 'held' && !isHolder) return { answer: { state: 'in_flight' }, next: model };
    const { delivered } = model;
    return { answer: { state: 'acquired', delivered }, next: { state: 'held', token, delivered } };
  }
  if (!isHolder) return { answer: false, next: model };
  const delivered = [...new Set([...model.delivered, sink])].sort();
  switch (operation) {
    case 'renew':
      return { answer: true, next: model };
    case 'delivered':
      return { answer: true, next: { ...model, delivered } };
    case 'complete':
      return { answer: true, next: { state: 'completed', delivered: [] } };
    case 'release':
      return { answer: true, next: { state: 'free', delivered: model.delivered } };
  }
}

/** Plays the plans at once on a new event. */
export async function play(
  stores: readonly IdempotencyStore[],
  key: string,
  given: readonly Step[][],
): Promise<Call[]> {
  const history: Call[] = [];
  let time = 0;
  await Promise.all(
    given.map(async (steps, i) => {
      const store = stores[i % stores.length] as IdempotencyStore;
      const token = `${tokens[i]}-${key}`;
      for (const { operation, sink } of steps) {
        const begun = ++time;
        const answer = await store[operation](key, token, (operation === 'delivered' ? sink : hour) as never);
        history.push({ operation, sink, token, begun, ended: ++time, answer });
      }
    }),
  );
  return history;
}

function comparable(answer: ClaimResult | boolean): unknown {
  if (typeof answer === 'boolean') return answer;
  if (answer.state === 'in_flight') return { state: 'in_flight' };
  return answer.state === 'acquired' ? { state: 'acquired', delivered: [...answer.delivered].sort() } : { ...answer };
}

/**
 * Whether the calls can be put into an order in which each answer is the model's, and none comes before a call that had
 * ended when it began (Herlihy and Wing). `mayBeBusy`: a claim may be `in_flight` while another call is at the event.
 */
export function isLinearizable(history: readonly Call[], { mayBeBusy }: { readonly mayBeBusy: boolean }): boolean {
  const isBusy = (call: Call) =>
    mayBeBusy && history.some((other) => other !== call && other.begun < call.ended && call.begun < other.ended);
  const seen = new Set<string>();
  const search = (left: readonly Call[], model: Model): boolean => {
    if (left.length === 0) return true;
    const id = JSON.stringify([left.map(({ begun }) => begun), model]);
    if (seen.has(id)) return false;
    seen.add(id);
    const firstEnd = Math.min(...left.map(({ ended }) => ended));
    return left.some((call) => {
      if (call.begun > firstEnd) return false;
      const rest = left.filter((other) => other !== call);
      const given = comparable(call.answer);
      const { answer, next } = step(model, call);
      if (isDeepStrictEqual(answer, given) && search(rest, next)) return true;
      return call.operation === 'claim' && isDeepStrictEqual(given, { state: 'in_flight' }) && isBusy(call)
        ? search(rest, model)
        : false;
    });
  };
  return search(history, fresh);
}
