import { Child } from './child.mjs';
import { goals, heading } from './report.mjs';

const MB = 1024 * 1024;

/** The heap while a durable store sees a million distinct events, each store in a fresh process. */
export async function storeMemory(quick) {
  const events = quick ? 50_000 : 1_000_000;
  heading(`Heap after collections, over ${events.toLocaleString('en')} distinct events: from a fifth of them on`);
  const lines = [];
  for (const name of ['redis', 'postgres', 'sqlite', 'outbox']) {
    const child = new Child('durable-store.mjs', [name], ['--expose-gc']);
    const heaps = await child.ask({ events, samples: 5 });
    child.end();
    lines.push({
      name: `${name}: largest less smallest sample`,
      values: [(Math.max(...heaps) - Math.min(...heaps)) / MB],
      unit: ' MB',
      atMost: 2,
    });
  }
  goals(lines);
}
