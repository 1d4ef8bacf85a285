import type { Provider } from './provider.js';
import { vast } from './vast.js';

const providers: Readonly<Record<string, Provider<never>>> = { vast };

/** The dialect of a delivery, by the name it carries. */
export function providerOf(name: string): Provider<object> {
  const provider = Object.hasOwn(providers, name) ? providers[name] : undefined;
  if (provider === undefined)
    throw new TypeError(`unknown provider "${name}": it is none of ${Object.keys(providers)}`);
  return provider as Provider<object>;
}
