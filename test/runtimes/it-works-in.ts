import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { memoryStore } from '../../src/index.js';
import { storeConformance } from '../../src/testing/index.js';
import type { Case } from '../adapters/cases/case.js';
import { cases } from '../adapters/cases/index.js';
import { itAnswers } from '../adapters/cases/it-answers.js';
import type { Runtime } from './runtime.js';

export interface Kind {
  /** The name of the program in `project.ts`, and of the program that it needs beside. */
  readonly needs: readonly string[];
  start(programs: Readonly<Record<string, string>>): Promise<Runtime>;
  readonly servers: readonly string[];
  /** The stores that are said to work there. */
  readonly stores: readonly string[];
  /** Cases that cannot hold on a server, with the reason, which docs/runtimes.md has for users. */
  readonly except?: readonly { readonly servers: readonly string[]; readonly cases: RegExp; readonly why: string }[];
  /** Whether an answer can close its connection. On Workers only the platform can. Yes by default. */
  readonly closesConnections?: boolean;
}

/** The frameworks of `support/adapters.ts`, which run on `node:http`. */
export const frameworks = ['Express 4', 'Express 5', 'Koa 2', 'Koa 3'];
/** Of the servers that `support/global-setup.ts` has found. */
export const networkStores = [
  ...(inject('redisUrl') ? ['redisStore over ioredis', 'redisStore over redis'] : []),
  ...(inject('databaseUrl') ? ['postgresStore over pg'] : []),
];

const rules = storeConformance(() => memoryStore()).map(({ name }) => name);
/** Enough to see that a store holds in a service, too. The rules of a store say the rest. */
const withStore = Object.fromEntries(
  Object.entries(cases).filter(([name]) =>
    /^(accepted: 204|duplicate|in_flight: while|sink_failed: the retry|deadline_exceeded: a chat)/.test(name),
  ),
);

/** The table of cases on each of its servers and each of its stores, and the rules of stores on those. */
export function itWorksIn(name: string, kind: Kind): void {
  const { needs, start, servers, stores, except = [], closesConnections = true } = kind;
  const programs = inject('runtimes');
  describe.skipIf(needs.some((program) => !programs[program]))(name, () => {
    let runtime: Runtime;

    beforeAll(async () => {
      runtime = await start(programs);
    });
    afterAll(() => runtime?.stop());

    describe.each(servers)('%s answers', (server) => {
      const exceptions = except.filter((one) => one.servers.includes(server));
      const holding = Object.entries(cases).filter(([name]) => !exceptions.some((one) => one.cases.test(name)));
      it.each(exceptions)('all but $cases, because $why', ({ cases: exception }) => {
        expect(Object.keys(cases).filter((name) => exception.test(name))).not.toEqual([]);
      });
      itAnswers(
        (one, _, chatUrl) => runtime.startCase(server, one, chatUrl),
        Object.fromEntries(closesConnections ? holding : holding.map(([name, one]) => [name, withoutClose(one)])),
      );
    });

    describe.each(stores)('%s', (store) => {
      it.each(rules)('%s', async (rule) => {
        await runtime.ask({ what: 'rule', store, name: rule });
      });

      describe('in a service', () => {
        itAnswers((one, _, chatUrl) => runtime.startCase(servers[0] as string, one, chatUrl, store), withStore);
      });
    });

    it('has these stores', async () => {
      expect((await runtime.ask<{ stores: string[] }>({ what: 'hello' })).stores.sort()).toEqual([...stores].sort());
    });
  });
}

function withoutClose(one: Case): Case {
  const { connection, ...headers } = one.answer.headers ?? {};
  return { ...one, answer: { ...one.answer, headers } };
}
