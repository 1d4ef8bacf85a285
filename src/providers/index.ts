import { digests } from './digests.js';
import type { EventFormat, Provider } from './provider.js';
import { shodai } from './shodai.js';
import { v0 } from './v0.js';
import { vast } from './vast.js';

const providers: Readonly<Record<string, Provider<never>>> = { vast, shodai, v0 };
const eventFormats: Readonly<Record<string, EventFormat<never>>> = { ...providers, [digests.name]: digests };

/** The provider of that name. Throws a `TypeError` for an unknown name. */
export function providerOf(name: string): Provider<object> {
  return named(name, providers) as Provider<object>;
}

/** The format of a provider's events, by its name. Throws a `TypeError` for an unknown name. */
export function eventFormat(name: string): EventFormat<object> {
  return named(name, eventFormats) as EventFormat<object>;
}

function named<T>(name: string, all: Readonly<Record<string, T>>): T {
  const found = Object.hasOwn(all, name) ? all[name] : undefined;
  if (found === undefined) throw new TypeError(`unknown provider "${name}" (valid: ${Object.keys(all).join(', ')})`);
  return found;
}
