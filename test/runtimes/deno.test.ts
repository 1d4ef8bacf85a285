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
    {
      servers: frameworks,
      cases: /^payload_too_large: reaches/,
      why: 'node:http of Deno breaks the connection of a sender that sends on, before the answer is out',
    },
  ],
  stores: ['memoryStore', 'sqliteStore over node:sqlite', ...networkStores],
});
