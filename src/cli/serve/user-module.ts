import { createRequire } from 'node:module';
import { join } from 'node:path';
import { CliError, toError } from '../shared/errors.js';

export interface Found {
  readonly name: string;
  // Whatever the package exports.
  readonly module: unknown;
}

/**
 * Loads the first of some packages that the user has: in the project the command was started in, or beside this
 * package. Throws a `CliError` that says what to install for `what`.
 */
export function loadUserModule(
  names: readonly string[],
  what: string,
  cwd: string,
  advice = `npm install ${names[0]}`,
): Found {
  for (const from of [join(cwd, 'package.json'), import.meta.url]) {
    const require = createRequire(from);
    for (const name of names) {
      let path: string;
      try {
        path = require.resolve(name);
      } catch {
        continue;
      }
      try {
        return { name, module: require(path) };
      } catch (error) {
        const [reason] = toError(error).message.split('\n');
        throw new CliError(`${name} is installed but cannot be loaded (${reason}): install it again for this Node.js`);
      }
    }
  }
  throw new CliError(`${what} needs a client: ${advice}`);
}
