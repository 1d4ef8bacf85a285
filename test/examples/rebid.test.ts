import { describe, expect, it, onTestFinished } from 'vitest';
import { slackStandIn } from '../support/chat-stand-in.js';
import { temporaryFile } from '../support/temporary-file.js';
import { startVastMarket } from '../support/vast-market.js';
import { documentedExamples, expectCleanStop, readmeOf, send } from './documented.js';
import { ceiling, type Life, live, margin } from './rebid-life.js';

function expectPromises({ bids, toBeat, states, said, isFair, isRunning, price }: Life): void {
  // Never twice for one event.
  expect(bids.map(({ event }) => event)).toEqual([...new Set(bids.map(({ event }) => event))]);
  for (const bid of bids) {
    const beat = toBeat.get(bid.event) ?? Number.NaN;
    // Never over the ceiling.
    expect(bid.price).toBeLessThanOrEqual(ceiling);
    // Never lower than before.
    expect(bid.price).toBeGreaterThan(bid.before);
    // By the event's price, never by the own bid.
    expect(bid.price).toBeLessThanOrEqual(beat + margin + 0.001);
    expect(bid.price).toBeGreaterThanOrEqual(beat);
  }
  expect(states).toEqual([...toBeat.keys()].map(() => 'done'));
  expect(said.length).toBeGreaterThanOrEqual(toBeat.size);
  // Each outbid had its notification, so that the instance runs again where the ceiling allows it.
  if (isFair && price <= ceiling) expect(isRunning).toBe(true);
}

const { REBID_SEED, REBID_SEEDS = '100' } = process.env;
const seeds = REBID_SEED ? [Number(REBID_SEED)] : Array.from({ length: Number(REBID_SEEDS) }, (_, n) => n + 1);

describe('examples/rebid, in a market with a competitor', () => {
  it.each<[string, object]>([
    ['without faults', { crashRate: 0, faultRate: 0 }],
    ['with lost and late calls', { crashRate: 0, faultRate: 0.3 }],
    ['with crashes', { crashRate: 0.04, faultRate: 0 }],
    ['with both', { crashRate: 0.03, faultRate: 0.2 }],
  ])('%s bids once an event, under the ceiling, and gets the instance back', async (_, rates) => {
    const seen = { bids: 0, crashes: 0, starts: 0, outbids: 0, refused: 0, back: 0 };
    for (const seed of seeds) {
      const life = await live(seed, rates);
      try {
        expectPromises(life);
      } catch (error) {
        throw new Error(`seed ${seed}: ${(error as Error).message}\n${life.said.join('\n')}`, { cause: error });
      }
      seen.bids += life.bids.length;
      seen.crashes += life.crashes;
      seen.starts += life.starts;
      seen.outbids += life.toBeat.size;
      seen.refused += life.said.filter((text) => text.includes('over the ceiling')).length;
      seen.back += life.said.filter((text) => text.includes('running again')).length;
    }
    if (seeds.length > 1) {
      for (const [what, count] of Object.entries(seen)) {
        if (what !== 'crashes' || (rates as { crashRate: number }).crashRate > 0)
          expect([what, count > 0]).toEqual([what, true]);
      }
    }
    if (process.env.REBID_SEEDS) console.log(JSON.stringify(seen));
  });
});

describe('examples/rebid, as a program', () => {
  const { run, start } = documentedExamples();
  const id = 48927380;

  async function setUp() {
    const slack = await slackStandIn();
    onTestFinished(() => slack.close());
    const service = await startVastMarket({ comesBack: () => false });
    onTestFinished(() => service.close());
    service.market.rent(id, 46110, 0.031);
    const instance = () => service.market.instances.get(id) as never;
    const env = {
      VAST_API_KEY: service.apiKey,
      VAST_API_URL: service.url,
      BID_CEILING: '0.3',
      WAIT_SECONDS: '1',
      SLACK_WEBHOOK_URL: slack.url,
      REBID_FILE: temporaryFile('rebid.db'),
    };
    return { slack, service, market: service.market, env, outbid: () => service.market.outbidOf(instance()) };
  }

  it('raises, starts and reports once, although it is killed between the bid and its answer', async () => {
    const { slack, service, market, env, outbid } = await setUp();
    market.compete(46110, 0.0625);
    const event = outbid();
    const first = await start('rebid', env);
    // The first look at the instance is answered, and the bid is taken but never answered.
    const taken = new Promise<void>((resolve) => {
      service.failNext((res) =>
        res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ instances: market.show(id) })),
      );
      service.failNext(() => {
        market.setBid(id, 0.07);
        resolve();
      });
    });
    expect((await send(first.url, event)).status).toBe(204);
    await taken;
    first.program.kill('SIGKILL');
    await first.program.exited;

    const posted = slack.nextRequest();
    const second = await start('rebid', env);
    expect((await send(second.url, event, { attempt: 2 })).status).toBe(204);
    await posted;
    await second.program.printed(/running again/);
    expect(market.bids).toEqual([{ id, price: 0.07, before: 0.031 }]);
    expect(market.starts).toEqual([id]);
    await expectCleanStop(second.program);
    expect(second.program.stdout.split('\n').slice(1)).toEqual([
      'Instance 48927380 was outbid. The price to beat is $0.06/hr. The bid was raised from $0.031/hr to $0.07/hr. It did not come back by itself, was started, and is running again.',
      '',
    ]);
    expect(slack.messages).toHaveLength(1);
  });

  it('leaves the bid alone over the ceiling', async () => {
    const { market, env, outbid } = await setUp();
    market.compete(46110, 0.8);
    const { program, url } = await start('rebid', env);
    expect((await send(url, outbid())).status).toBe(204);
    await program.printed(/over the ceiling of \$0\.3\/hr/);
    expect(market.bids).toEqual([]);
    program.kill('SIGTERM');
    expect(await program.exited).toBe(0);
  });

  it('is one process at a time', async () => {
    const { env } = await setUp();
    await start('rebid', env);
    const other = await run('rebid', { VAST_WEBHOOK_SECRET: 'x', PORT: '0', ...env });
    expect(await other.exited).toBe(1);
    expect(other.stderr).toMatch(/^Cannot lock .*: is another process using it\?/);
  });

  it.each(['VAST_WEBHOOK_SECRET', 'VAST_API_KEY', 'BID_CEILING', 'SLACK_WEBHOOK_URL'])(
    'says in one sentence that %s is missing, and documents it',
    async (missing) => {
      const names = ['VAST_WEBHOOK_SECRET', 'VAST_API_KEY', 'BID_CEILING', 'SLACK_WEBHOOK_URL'];
      const env = Object.fromEntries(names.filter((name) => name !== missing).map((name) => [name, '1']));
      const program = await run('rebid', env);
      expect(await program.exited).toBe(1);
      expect(program.stderr).toMatch(/^Set [^\n]+\.\n$/);
      expect(program.stderr).toContain(missing);
      expect(await readmeOf('rebid')).toContain(`\`${missing}\``);
    },
  );
});
