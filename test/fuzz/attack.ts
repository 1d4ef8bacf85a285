import { join } from 'node:path';
import { bundle, type Change, makeWorkshop } from './bundle.mjs';
import { type FuzzOptions, fuzz, type Result } from './fuzz.js';

/** Bundles the server, with changes to the middleware, and attacks it. */
export async function attack(changes: readonly Change[], options: Omit<FuzzOptions, 'script'>): Promise<Result> {
  const { folder, remove } = await makeWorkshop();
  try {
    const script = join(folder, 'server.mjs');
    await bundle('server.ts', script, changes);
    return await fuzz({ ...options, script });
  } finally {
    await remove();
  }
}

/** The violations that were found, as text. */
export function foundBy({ failures }: Result): string {
  return failures
    .flatMap(({ service, violations, bytes }) => [...violations.map((text) => `${service}: ${text}`), ...bytes])
    .join('\n');
}
