/** The reference of all public names, from their docstrings: `npm run docs:api`. A name without one fails it. */
import { readFileSync } from 'node:fs';
import { entries, sourceOf } from '../entries.mjs';

/** Described by what holds them: the same four fields of each type in the catalogue, and the parts of two unions. */
const catalogue = [...readFileSync('src/providers/vast.ts', 'utf8').matchAll(/^ {2}(\w+): \{ contexts/gm)]
  .map(([, type]) => `index.vastTypes.__type.${type}`)
  .flatMap((type) => [type, ...['contexts', 'topic', 'severity', 'link'].map((field) => `${type}.__type.${field}`)]);
const parts = [
  ...['state', 'delivered', 'retryAfterMs'].map((field) => `index.ClaimResult.__type.${field}`),
  ...['type', 'data'].map((field) => `index.QueuedDelivery.__type.rawBody.__type.${field}`),
];

/** @type {import('typedoc').TypeDocOptions} */
export default {
  name: 'vast-webhook',
  // Paths here begin in this folder.
  entryPoints: entries.map((entry) => `../../${sourceOf(entry)}`),
  tsconfig: 'tsconfig.json',
  out: '../../docs/api',
  readme: 'none',
  // Nothing here says where the sources lie.
  disableSources: true,
  // `npm run typecheck` has them.
  skipErrorChecking: true,
  treatWarningsAsErrors: true,
  validation: { notExported: true, invalidLink: true, invalidPath: true, rewrittenLink: true, notDocumented: true },
  intentionallyNotDocumented: [...catalogue, ...parts],
  // One-line types that users do not need by name.
  intentionallyNotExported: [
    'Awaitable',
    'Next',
    'OnError',
    'PostgresQuery',
    'Request',
    'Result',
    'ShodaiData',
    'Value',
  ],
};
