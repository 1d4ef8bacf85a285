/**
 * Writes the addresses of this repository on GitHub into package.json, in a workflow that publishes: provenance needs
 * them, and only there are they known. A repository that has moved or was forked is never named wrongly so.
 */
import { readFileSync, writeFileSync } from 'node:fs';

const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: name } = process.env;
if (!server || !name) {
  console.error('set-repository: GITHUB_SERVER_URL and GITHUB_REPOSITORY are not set: run it in a workflow of GitHub');
  process.exit(1);
}
const url = `${server}/${name}`;
const manifest = JSON.parse(readFileSync('package.json', 'utf8'));
Object.assign(manifest, {
  homepage: `${url}#readme`,
  repository: { type: 'git', url: `git+${url}.git` },
  bugs: { url: `${url}/issues` },
});
writeFileSync('package.json', `${JSON.stringify(manifest, null, 2)}\n`);
