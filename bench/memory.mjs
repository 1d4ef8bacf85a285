import { Child } from './child.mjs';
import { goals, heading, median, table } from './report.mjs';

const MB = 1024 * 1024;

/** The default store over a million distinct events, each time in a fresh process. */
export async function memory(quick) {
  const runs = quick ? 1 : 5;
  const events = 1_000_000;
  heading(`Memory of the default store: ${events.toLocaleString('en')} distinct events, medians of ${runs} runs`);
  const results = [];
  for (let run = 0; run < runs; run++) {
    const sampled = { events, sampleEvery: 200_000 };
    const withStore = await once({ ...sampled, remembers: true }, ['--expose-gc']);
    const without = await once({ ...sampled, remembers: false }, ['--expose-gc']);
    // We wait for a natural collection, because a forced one also drops compiled code.
    const timed = await once({ events, remembers: true });
    results.push({ ...timed, samples: withStore.samples, without: without.samples });
  }

  const megabytes = (values) => `${(median(values) / MB).toFixed(2)} MB`;
  table(
    [
      ['', 'heap', 'RSS above the start', 'without a store'],
      ...results[0].samples.map(({ events }, i) => [
        `after ${events.toLocaleString('en')} events and a collection`,
        megabytes(results.map(({ samples }) => samples[i].heapUsed)),
        megabytes(results.map(({ samples }) => samples[i].rss)),
        megabytes(results.map(({ without }) => without[i].rss)),
      ]),
    ],
    ['left', 'right', 'right', 'right'],
  );
  console.log();
  goals([
    {
      name: 'heap, largest less smallest sample',
      unit: ' MB',
      values: results.map(({ samples }) => {
        const heaps = samples.map(({ heapUsed }) => heapUsed);
        return (Math.max(...heaps) - Math.min(...heaps)) / MB;
      }),
      atMost: 2,
    },
    {
      name: 'RSS above the start, largest sample',
      unit: ' MB',
      values: results.map(({ samples }) => Math.max(...samples.map(({ rss }) => rss)) / MB),
      digits: 1,
      atMost: 60,
    },
    { name: 'a claim, mean', unit: ' µs', values: results.map(({ claimMicros }) => claimMicros), atMost: 0.8 },
    {
      name: 'slowest thousand claims',
      unit: ' ms',
      values: results.map(({ worstClaimsMs }) => worstClaimsMs),
      atMost: 10,
    },
    // Evicting is a part of completing.
    {
      name: 'a completion, mean',
      unit: ' µs',
      values: results.map(({ completeMicros }) => completeMicros),
      atMost: 0.8,
    },
    {
      name: 'slowest thousand completions',
      unit: ' ms',
      values: results.map(({ worstCompletesMs }) => worstCompletesMs),
      atMost: 10,
    },
  ]);
}

/** In a fresh process. */
async function once(message, flags) {
  const child = new Child('memory-store.mjs', [], flags);
  const result = await child.ask(message);
  child.end();
  return result;
}
