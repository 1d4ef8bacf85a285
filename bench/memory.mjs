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
    const child = new Child('memory-store.mjs', [], ['--expose-gc']);
    results.push(await child.ask({ events, sampleEvery: 200_000 }));
    child.end();
  }

  const megabytes = (values) => `${(median(values) / MB).toFixed(2)} MB`;
  table(
    [
      ['', 'heap', 'RSS above the start'],
      ...results[0].samples.map(({ events }, i) => [
        `after ${events.toLocaleString('en')} events and a collection`,
        megabytes(results.map(({ samples }) => samples[i].heapUsed)),
        megabytes(results.map(({ samples }) => samples[i].rss)),
      ]),
      ['most at any time', '', megabytes(results.map(({ rssMost }) => rssMost))],
    ],
    ['left', 'right', 'right'],
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
    // Evicting is a part of completing.
    {
      name: 'a completion, mean',
      unit: ' µs',
      values: results.map(({ completeMicros }) => completeMicros),
      atMost: 0.8,
    },
    { name: 'slowest thousand of either', unit: ' ms', values: results.map(({ worstMs }) => worstMs), atMost: 10 },
  ]);
}
