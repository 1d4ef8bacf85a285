import { frameworks, itWorksIn, networkStores } from './it-works-in.js';
import { Runtime } from './runtime.js';

const hono = 'fetch on @hono/node-server';
const resets = {
  servers: [hono],
  cases: /^payload_too_large: (in chunks|reaches)/,
  why: 'it ends the connection with the answer, and what the sender sends on then resets it, now and then first',
};

/** Each version has a file of its own, so that they run side by side. */
export function itWorksInNode(version: string): void {
  const isOldest = version === 'Node.js 20.0.0';
  itWorksIn(version, {
    needs: [version],
    start: (programs) => Runtime.start(programs[version] as string, 'node.mjs'),
    servers: [...frameworks, hono],
    except: [resets],
    stores: ['memoryStore', ...(isOldest ? [] : ['sqliteStore over node:sqlite']), ...networkStores],
  });
}
