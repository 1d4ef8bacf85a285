import { frameworks, itWorksIn, networkStores } from './it-works-in.js';
import { Runtime } from './runtime.js';

itWorksIn('Deno', {
  needs: ['Deno'],
  start: ({ Deno = '' }) => Runtime.start(Deno, 'run', '-A', 'deno.mjs'),
  servers: ['Deno.serve', ...frameworks],
  except: [
    {
      servers: ['Deno.serve'],
      cases: /^body_timeout: half a body/,
      why: 'the answer is there, but Deno waits for the rest of the body before it closes the connection',
    },
  ],
  stores: ['memoryStore', 'sqliteStore over node:sqlite', ...networkStores],
});
