import { itWorksIn, networkStores } from './it-works-in.js';
import { Runtime } from './runtime.js';

/** The oldest that the package loads in, the last whose timers are numbers, and one of today. */
const dates = ['2024-09-23', '2026-02-09', '2026-07-01'] as const;

const shared = {
  needs: ['Node.js 22', 'workerd'],
  servers: ['worker'],
  closesConnections: false,
  except: [
    {
      servers: ['worker'],
      cases: /^payload_too_large: reaches/,
      why: 'workerd breaks the connection of a sender that sends on, before the answer is out',
    },
    {
      servers: ['worker'],
      cases: /on the connection of two refusals/,
      why: 'workerd closes a connection whose body was not read. In production its front keeps it',
    },
  ],
};

const noClose = {
  servers: ['worker'],
  cases: /^closing: close\(\) waits/,
  why: 'before 2024-10-14 a request cannot wait for what another one does',
};

for (const date of dates) {
  const isNewest = date === dates[2];
  // `pg` needs a newer date than the package.
  const worker = isNewest ? 'worker-with-postgres.mjs' : 'worker.mjs';
  itWorksIn(`workerd of ${date}`, {
    ...shared,
    except: date === '2024-09-23' ? [...shared.except, noClose] : shared.except,
    start: (programs) => Runtime.start(programs['Node.js 22'] as string, 'miniflare.mjs', worker, date),
    stores: ['memoryStore', 'd1Store', ...(isNewest ? networkStores.filter((name) => name.endsWith('over pg')) : [])],
  });
}

itWorksIn('workerd, in a Durable Object', {
  ...shared,
  start: (programs) =>
    Runtime.start(programs['Node.js 22'] as string, 'miniflare.mjs', 'worker.mjs', dates[2], 'DurableHost'),
  stores: ['durableObjectStore'],
});
