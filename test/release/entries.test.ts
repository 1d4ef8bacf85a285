import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { entries, manifestFields, sourceOf, subpathOf } from '../../scripts/entries.mjs';

const { exports, typesVersions } = JSON.parse(readFileSync('package.json', 'utf8')) as Record<string, object>;

describe('the list of entries', () => {
  it('is what package.json exports (if not: npm run entries)', () => {
    // As text, because resolvers read both in their order.
    expect(JSON.stringify({ exports, typesVersions }, null, 2)).toBe(JSON.stringify(manifestFields(), null, 2));
  });

  it('names files that are there', () => {
    expect(entries.filter((entry) => !existsSync(sourceOf(entry)))).toEqual([]);
  });

  it('has a report of the public types for each (if not: npm run api)', () => {
    const reports = readdirSync('api-reports').map((file) => file.replace('.api.md', ''));
    expect(reports.sort()).toEqual(entries.map((entry) => (subpathOf(entry) || entry).replaceAll('/', '-')).sort());
  });
});
