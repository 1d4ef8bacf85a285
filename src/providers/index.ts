import type { Provider } from './provider.js';
import { shodai } from './shodai.js';
import { v0 } from './v0.js';
import { vast } from './vast.js';

const providers: Readonly<Record<string, Provider<never>>> = { vast, shodai, v0 };

/** The dialect of a delivery, by the name it carries. */
export function providerOf(name: string): Provider<object> {
  const provider = Object.hasOwn(providers, name) ? providers[name] : undefined;
  if (provider === undefined)
    throw new TypeError(`unknown provider "${name}": it is none of ${Object.keys(providers)}`);
  return provider as Provider<object>;
}

/** The type of an event of which nothing else is known. */
export function typeOfAny(event: unknown): string | undefined {
  for (const name in providers) {
    const type = providers[name]?.typeOf(event as never);
    if (typeof type === 'string') return type;
  }
  return undefined;
}
