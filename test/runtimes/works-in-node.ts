import { frameworks, itWorksIn, networkStores } from './it-works-in.js';
import { Runtime } from './runtime.js';

const servers = [...frameworks, 'fetch on @hono/node-server'];
const resets = {
  servers,
  cases: /^payload_too_large: reaches/,
  why: 'node:http closes the connection with the answer, and what the sender sends on then resets it, now and then first',
};
const resetsSooner = {
  servers,
  cases: /^payload_too_large: in chunks/,
  why: 'its node:http breaks the connection of a sender that sends on, before the answer is out',
};

/** Each version has a file of its own, so that they run side by side. */
export function itWorksInNode(version: string): void {
  const isOldest = version === 'Node.js 20.0.0';
  itWorksIn(version, {
    needs: [version],
    start: (programs) => Runtime.start(programs[version] as string, 'node.mjs'),
    servers,
    except: isOldest ? [resets, resetsSooner] : [resets],
    stores: ['memoryStore', ...(isOldest ? [] : ['sqliteStore over node:sqlite']), ...networkStores],
  });
}
