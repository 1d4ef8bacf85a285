import { digests } from './digests.js';
import type { Dialect } from './provider.js';
import { vast } from './vast.js';

const providers: Readonly<Record<string, Dialect<never>>> = { vast, [digests.name]: digests };

/** The dialect of a delivery, by the name it carries. */
export function providerOf(name: string): Dialect<object> {
  const provider = Object.hasOwn(providers, name) ? providers[name] : undefined;
  if (provider === undefined)
    throw new TypeError(`unknown provider "${name}": it is none of ${Object.keys(providers)}`);
  return provider as Dialect<object>;
}
