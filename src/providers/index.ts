import { digests } from './digests.js';
import type { EventFormat, Provider } from './provider.js';
import { shodai } from './shodai.js';
import { v0 } from './v0.js';
import { vast } from './vast.js';

const providers: Readonly<Record<string, Provider<never>>> = { vast, shodai, v0 };
const dialects: Readonly<Record<string, EventFormat<never>>> = { ...providers, [digests.name]: digests };

/** A sender, by the name that its deliveries carry. Throws a `TypeError` for another name. */
export function providerOf(name: string): Provider<object> {
  return named(name, providers) as Provider<object>;
}

/** How to tell of a delivery's event, by the name that it carries. Throws a `TypeError` for another name. */
export function eventFormat(name: string): EventFormat<object> {
  return named(name, dialects) as EventFormat<object>;
}

function named<T>(name: string, all: Readonly<Record<string, T>>): T {
  const found = Object.hasOwn(all, name) ? all[name] : undefined;
  if (found === undefined) throw new TypeError(`unknown provider "${name}": it is none of ${Object.keys(all)}`);
  return found;
}
