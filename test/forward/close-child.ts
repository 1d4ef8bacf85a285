/** Runs as a process of its own, with nothing that keeps it alive but its close(). */
import { createForwarder } from '../../src/queue/create-forwarder.js';
import { digest } from '../../src/sinks/batching/digest.js';
import { memoryStore } from '../../src/stores/memory/memory-store.js';
import { deliveryOf } from '../support/delivery.js';

const say = (text: string) => process.stdout.write(`${text}\n`);
const what = process.argv[2];
const memory = memoryStore();
let failures = what === 'record' ? 3 : 0;
const store = {
  ...{ claim: memory.claim.bind(memory), renew: memory.renew.bind(memory) },
  delivered: memory.delivered.bind(memory),
  release: memory.release.bind(memory),
  complete(key: string, token: string, ttlMs: number) {
    if (failures-- > 0) throw new Error('away');
    return memory.complete(key, token, ttlMs);
  },
};
async function audit() {
  say('delivered');
}
const sink = what === 'digest' ? digest({ everyMs: 60_000 }, audit) : audit;
const forward = createForwarder({ sinks: [sink], store, onOutcome() {}, onError() {} });
const forwarding = forward(deliveryOf({ event_id: 'e' }, { id: 'e' })).catch(() => {});
if (what === 'record') await forwarding;
await forward.close();
say('closed');
