/** The middleware with one thing wrong in each, to see that the harness finds it out. */
import type { Change } from './bundle.mjs';

export interface Mutant {
  readonly changes: readonly Change[];
  /** The violation that must be found. */
  readonly finds: RegExp;
  /** Where it shows, unless everywhere. */
  readonly service?: string;
}

const drain = {
  file: 'src/adapters/node-request.ts',
  from: 'if (!this.req.complete) this.req.resume();',
  to: '',
};
const close = {
  file: 'src/contracts/answer.ts',
  from: "{ status: 413, result: 'rejected', headers: { Connection: 'close' } }",
  to: "{ status: 413, result: 'rejected' }",
};

/** Named by the violation that each mutant causes. */
export const mutants: Readonly<Record<string, Mutant>> = {
  'leaves a body that is too large unread, and its connection open': {
    changes: [drain, close],
    finds: /never read|never answered/,
  },
  'waits for a body without end': {
    changes: [{ file: 'src/receive/raw-body.ts', from: 'done(timedOut(timeoutMs));', to: '' }],
    finds: /was never answered|not all came to its end/,
  },
  'waits for sinks without end': {
    changes: [
      {
        file: 'src/forward/core.ts',
        from: "if (this.reply === 'due' && now >= this.#deadlineAt) this.#replyLate();",
        to: '',
      },
    ],
    finds: /took \d+ ms/,
    service: 'Koa 3, sinks',
  },
  'publishes an outcome twice': {
    changes: [
      {
        file: 'src/endpoint.ts',
        from: 'settings.onOutcome(outcome',
        to: 'settings.onOutcome({}); settings.onOutcome(outcome',
      },
    ],
    finds: /outcomes for/,
  },
  'takes what is a second too old': {
    changes: [
      {
        file: 'src/providers/scheme.ts',
        from: '!(ageSeconds <= toleranceSeconds)',
        to: '!(ageSeconds <= toleranceSeconds + 1)',
      },
    ],
    finds: /in spite of its time/,
  },
  'refuses what is just young enough': {
    changes: [
      {
        file: 'src/providers/scheme.ts',
        from: '!(-ageSeconds <= toleranceSeconds)',
        to: '-ageSeconds >= toleranceSeconds',
      },
    ],
    finds: /is genuine and intact, and was answered 401/,
  },
  'calls the handler for an unsigned request': {
    changes: [
      {
        file: 'src/providers/scheme.ts',
        from: 'if (timingSafeEqual(digest, claim)) found ??= key;',
        to: 'if (timingSafeEqual(digest, claim) || true) found ??= key;',
      },
    ],
    finds: /handler was called with .* nothing genuine has brought/,
  },
  'has the sender try again what will never be right': {
    changes: [
      {
        file: 'src/contracts/answer.ts',
        from: "invalid_signature: { status: 401, result: 'rejected' }",
        to: "invalid_signature: { status: 503, result: 'rejected' }",
      },
    ],
    finds: /was answered 503, but is merely wrong/,
  },
  'delivers again what is completed': {
    changes: [
      {
        file: 'src/stores/memory/memory-store.ts',
        from: 'if (this.#completed.has(key, hash, now)) return completed;',
        to: '',
      },
    ],
    finds: /got \S+ \d times/,
    service: 'Koa 3, sinks',
  },
  'does not count out what it has counted in': {
    changes: [{ file: 'src/endpoint.ts', from: '    drain.leave();', to: '' }],
    finds: /close\(\) does not resolve/,
  },
  'keeps something of each request': {
    changes: [
      {
        file: 'src/endpoint.ts',
        from: 'this.#endpoint.drain.enter();',
        to: 'this.#endpoint.drain.enter(); (globalThis.kept ??= []).push(new Array(20_000).fill(0));',
      },
    ],
    finds: /the heap has grown/,
  },
  'leaves a rejection to nobody': {
    changes: [
      {
        file: 'src/endpoint.ts',
        from: '  #fail(error: unknown): void {',
        to: '  #fail(error: unknown): void {\n Promise.reject(error);',
      },
    ],
    finds: /unhandled rejection/,
  },
};
