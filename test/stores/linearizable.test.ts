import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ClaimResult, IdempotencyStore } from '../../src/contracts/store.js';
import { describeWithPostgres, describeWithRedis, redisUrl, uniqueName } from '../support/backends.js';
import { type RemoteStore, remoteStore } from '../support/remote-store.js';
import { sqliteHandles } from '../support/sqlite.js';
import { ReferenceStore } from '../testing/reference-store.js';
import { isLinearizable, plans, play } from './linearizable.js';
import { type OwnSchema, ownSchema } from './own-schema.js';

const factoryOf = (name: string) => new URL(`factories/${name}.ts`, import.meta.url);
/** `LINEARIZABLE_RUNS=20000 npx vitest run test/stores/linearizable.test.ts` for a long search. */
const numRuns = Number(process.env.LINEARIZABLE_RUNS ?? 150);
const numReferenceRuns = 1_000;

/** Random steps of four callers in three processes at once, on events of their own. */
function isHeldToTheModel(start: () => Promise<RemoteStore>, rules: { readonly mayBeBusy: boolean }): void {
  let stores: RemoteStore[] = [];
  beforeAll(async () => {
    stores = await Promise.all([start(), start(), start()]);
  });
  afterAll(() => Promise.all(stores.map((store) => store.close())));

  it('whatever is asked at once, the answers are those of some order', { timeout: 600_000 }, async () => {
    const property = fc.asyncProperty(plans, async (given) => {
      const history = await play(stores, randomUUID(), given);
      expect(isLinearizable(history, rules), JSON.stringify(history, undefined, 1)).toBe(true);
    });
    await fc.assert(property, { numRuns });
  });
}

describeWithRedis('redisStore is linearizable', () => {
  const prefix = `${uniqueName()}:`;
  isHeldToTheModel(() => remoteStore(factoryOf('redis'), 'make', { client: 'ioredis 6', url: redisUrl(), prefix }), {
    mayBeBusy: false,
  });
});

describeWithPostgres('postgresStore is linearizable', () => {
  let schema: OwnSchema;
  beforeAll(async () => {
    schema = await ownSchema();
  });
  afterAll(() => schema?.drop());
  // Who is not given the lock of the event at once leaves it to the one who has it.
  isHeldToTheModel(() => remoteStore(factoryOf('postgres'), 'make', { url: schema.url, client: 'Pool' }), {
    mayBeBusy: true,
  });
});

describe.each(sqliteHandles())('sqliteStore on $client is linearizable', ({ client }) => {
  const folder = mkdtempSync(join(tmpdir(), 'vast-webhook-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  // An event that is released between the claim and the read of its holder is in flight again.
  isHeldToTheModel(() => remoteStore(factoryOf('sqlite'), 'make', { client, file: join(folder, 'events.sqlite') }), {
    mayBeBusy: true,
  });
});

describe('the check', () => {
  const finds = async (store: IdempotencyStore): Promise<boolean> => {
    const property = fc.asyncProperty(plans, async (given) =>
      isLinearizable(await play([store], randomUUID(), given), { mayBeBusy: false }),
    );
    return (await fc.check(property, { numRuns: numReferenceRuns })).failed;
  };
  const pause = () => new Promise(setImmediate);

  it('passes the reference', async () => {
    expect(await finds(new ReferenceStore())).toBe(false);
  });

  it.each<[string, IdempotencyStore]>([
    [
      'looks, waits, and only then takes',
      new (class extends ReferenceStore {
        override async claim(key: string, token: string, leaseMs: number): Promise<ClaimResult> {
          const answer = this.look(key, token);
          await pause();
          if (answer.state === 'acquired') this.hold(key, token, leaseMs, answer.delivered);
          return answer;
        }
      })(),
    ],
    [
      'refuses the holder itself',
      new (class extends ReferenceStore {
        protected override look(key: string): ClaimResult {
          return super.look(key, '');
        }
      })(),
    ],
    [
      'answers a completion before it has happened',
      new (class extends ReferenceStore {
        override async complete(key: string, token: string, ttlMs: number): Promise<boolean> {
          const isHeld = this.isHeldBy(this.entries.get(key), token);
          void pause().then(() => super.complete(key, token, ttlMs));
          return isHeld;
        }
      })(),
    ],
  ])('finds a store that %s', async (_, store) => {
    expect(await finds(store)).toBe(true);
  });
});
