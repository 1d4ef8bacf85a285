// What a process knew, written down before it could act on it: a kill takes nothing of it, however fast the machine is.

import { openSync, writeSync } from 'node:fs';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { now } from './clock.mjs';

/** Writes one process's journal. */
export class Journal {
  #file;

  constructor(folder, life) {
    this.#file = openSync(join(folder, `${life}.jsonl`), 'a');
  }

  /** `what`: `begun`, `took` or `failed` of a sink, `recorded` of a sink, or of all of them. */
  note(what, event, sink) {
    writeSync(this.#file, `${JSON.stringify({ what, event, sink, at: now() })}\n`);
  }

  /** The sink, with each of its deliveries noted. */
  ofSink(sink) {
    const deliver = async (event, context) => {
      const note = (what) => this.note(what, context.delivery.id, sink.name);
      note('begun');
      try {
        await sink.deliver(event, context);
      } catch (error) {
        note('failed');
        throw error;
      }
      note('took');
    };
    return Object.assign(Object.create(Object.getPrototypeOf(sink)), sink, { deliver });
  }

  /** The store, with what it has recorded noted. */
  ofStore(store) {
    const noting =
      (method, sinkOf) =>
      (key, ...args) => {
        const noted = (held) => {
          if (held) this.note('recorded', /[0-9a-f]{32}/.exec(key)[0], sinkOf(args));
          return held;
        };
        const held = store[method](key, ...args);
        return typeof held?.then === 'function' ? held.then(noted) : noted(held);
      };
    return {
      claim: (...args) => store.claim(...args),
      renew: (...args) => store.renew(...args),
      release: (...args) => store.release(...args),
      delivered: noting('delivered', ([, sink]) => sink),
      complete: noting('complete', () => undefined),
    };
  }
}

/** All that the processes have noted: `{ life, what, event, sink?, at }`, in the order of time. */
export async function journalsIn(folder) {
  await mkdir(folder, { recursive: true });
  const notes = [];
  for (const file of await readdir(folder)) {
    const life = file.replace(/\.jsonl$/, '');
    const lines = (await readFile(join(folder, file), 'utf8')).split('\n');
    // A kill may leave half a line behind.
    for (const line of lines.slice(0, -1)) notes.push({ life, ...JSON.parse(line) });
  }
  return notes.sort((a, b) => a.at - b.at);
}
