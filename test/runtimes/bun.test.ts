import { inject } from 'vitest';
import { frameworks, itWorksIn, networkStores } from './it-works-in.js';
import { Runtime } from './runtime.js';

itWorksIn('Bun', {
  needs: ['Bun'],
  start: ({ Bun = '' }) => Runtime.start(Bun, 'bun.mjs'),
  servers: ['Bun.serve', ...frameworks],
  except: [
    {
      servers: ['Bun.serve'],
      cases: /^payload_too_large: (in chunks|reaches)/,
      why: 'Bun breaks the connection of a chunked body that is not read to its end, before the answer is out',
    },
  ],
  stores: [
    'memoryStore',
    'sqliteStore over bun:sqlite',
    'sqliteStore over node:sqlite',
    ...networkStores,
    ...(inject('redisUrl') ? ['redisStore over Bun.RedisClient'] : []),
  ],
});
