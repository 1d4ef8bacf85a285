/** What a test asks of a runtime: to start and end the service of a case, what it has seen, and the rules of a store. */

import type { Closable, IdempotencyStore } from '../../../src/index.js';
import { storeConformance } from '../../../src/testing/index.js';
import { setupOf } from '../../adapters/cases/case.js';
import { cases } from '../../adapters/cases/index.js';
import { type Handler, recorded, type Setup } from '../../support/service.js';
import type { Asked, CaseState } from '../protocol.js';

export interface Opened {
  /** Unless the service is on the port of these questions. */
  readonly port?: number;
  readonly hook: Closable;
  stop(): unknown;
}

export interface Host {
  /** Each starts a service. `arrived` must be called when it has the head of a request. */
  readonly servers: Readonly<Record<string, (setup: Setup, handler: Handler, arrived: () => void) => Promise<Opened>>>;
  /** Each makes stores over the same data. */
  readonly stores: Readonly<Record<string, () => IdempotencyStore | Promise<IdempotencyStore>>>;
}

interface Running extends Opened {
  readonly state: () => CaseState;
}

export function controlOf({ servers, stores }: Host): (asked: Asked) => Promise<unknown> {
  const running = new Map<number, Running>();
  let last = 0;
  const storeOf = (name: string) => {
    const make = stores[name];
    if (!make) throw new Error(`there is no ${name} here`);
    return make();
  };

  return async (asked) => {
    switch (asked.what) {
      case 'hello':
        return { stores: Object.keys(stores), rules: storeConformance(() => storeOf('')).map(({ name }) => name) };
      case 'start': {
        const one = cases[asked.name];
        const open = servers[asked.server];
        if (!one || !open) throw new Error(`there is no ${asked.server}, or no ${asked.name}`);
        const id = ++last;
        const setup = setupOf(one, asked.chatUrl);
        // A scope of its own, because the cases share the event and may share the store.
        const scope = `case-${Date.now()}-${id}`;
        const store = asked.store === undefined ? {} : { store: await storeOf(asked.store), scope };
        const { outcomes, errors, handled, endpoint, ...watched } = recorded({
          ...setup,
          options: { ...store, ...setup.options },
        });
        let arrivals = 0;
        const opened = await open(watched.setup, watched.handler, () => arrivals++);
        running.set(id, {
          ...opened,
          state: () => ({
            outcomes: outcomes.entries,
            errors: errors.map(({ message }) => message),
            handled: handled.entries.length,
            arrivals,
          }),
        });
        return { id, endpoint, port: opened.port };
      }
      case 'state':
        return running.get(asked.id)?.state();
      case 'close':
        return running.get(asked.id)?.hook.close();
      case 'stop': {
        const stopped = running.get(asked.id);
        running.delete(asked.id);
        return stopped?.stop();
      }
      case 'rule': {
        const rule = storeConformance(() => storeOf(asked.store)).find(({ name }) => name === asked.name);
        return rule?.run();
      }
    }
  };
}

/** The answer to a question, as JSON. An error of an outcome is an object with its message. */
export async function answerTo(control: (asked: Asked) => Promise<unknown>, question: string): Promise<string> {
  try {
    return JSON.stringify({ got: await control(JSON.parse(question) as Asked) }, withErrors);
  } catch (error) {
    return JSON.stringify({ fault: error instanceof Error ? `${error.stack}` : String(error) });
  }
}

function withErrors(_: string, value: unknown): unknown {
  return value instanceof Error ? { $error: value.message } : value;
}
