import { frameworks } from './frameworks.js';
import { serveTest } from './process.js';
import { commonStores, nodeSqlite } from './stores.js';

serveTest({ servers: frameworks, stores: { ...commonStores(), ...nodeSqlite() } });
