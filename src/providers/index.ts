import { definedProvider } from './define-provider.js';
import { digests } from './digests.js';
import type { EventFormat, Provider } from './provider.js';
import { shodai } from './shodai.js';
import { v0 } from './v0.js';
import { vast } from './vast.js';

/** Known without an import of the application, so that a worker can read what any receiver has queued. */
const builtIn: readonly EventFormat<never>[] = [vast, shodai, v0, digests];

/** Whether the package has this sender. */
export function isBuiltIn(name: string): boolean {
  return builtIn.some((format) => format.name === name);
}

/** The provider of that name. Throws a `TypeError` for an unknown name. */
export function providerOf(name: string): Provider<object> {
  return (definedProvider(name) ?? unknown(name)) as Provider<object>;
}

/** The format of a provider's events, by its name. Throws a `TypeError` for an unknown name. */
export function eventFormat(name: string): EventFormat<object> {
  if (name === digests.name) return digests as EventFormat<object>;
  return providerOf(name);
}

function unknown(name: string): never {
  throw new TypeError(
    `unknown provider "${name}" (valid: ${builtIn.map((format) => format.name).join(', ')}, and those of defineProvider): import the module that defines it in this process, too`,
  );
}
