/** Prints `isPublished=true` or `false`: whether npm has this version. Fails when npm cannot say. */
import { readFileSync } from 'node:fs';

const { name, version } = JSON.parse(readFileSync('package.json', 'utf8'));
const registry = process.env.npm_config_registry ?? 'https://registry.npmjs.org';
const { status } = await fetch(`${registry.replace(/\/$/, '')}/${name}/${version}`, {
  signal: AbortSignal.timeout(30_000),
});
if (status !== 200 && status !== 404) {
  console.error(`is-published: npm answered ${status}: run the workflow again`);
  process.exit(1);
}
console.log(`isPublished=${status === 200}`);
