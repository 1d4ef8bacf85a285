import { readFileSync } from 'node:fs';
import { blocksOf, pageAt, root } from './markdown.js';
import type { Module } from './type-check.js';

/** `src/providers/index.ts` with the provider that `docs/providers.md` adds to its table. */
export function providersWithAcme(): Module {
  const file = `${root}src/providers/index.ts`;
  const block = blocksOf(pageAt('docs/providers.md')).find(({ code }) => code.startsWith('const providers'));
  if (block === undefined) throw new Error('docs/providers.md adds nothing to the table of providers');
  const table = readFileSync(file, 'utf8');
  const text = table.replace(/^const providers: .*$/m, `import { acme } from './acme.js';\n${block.code}`);
  if (text === table) throw new Error(`${file} has no table of providers`);
  return { block, file, text };
}
