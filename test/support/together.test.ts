import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { together } from '../../vitest.config.js';

it('no file that shares its process mocks a module, because an earlier file may have loaded it', () => {
  const files = together.flatMap((pattern) => {
    const folder = fileURLToPath(new URL(`../../${pattern.replace(/\*\*.*/, '')}`, import.meta.url));
    return readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((file) => `${folder}${file}`);
  });
  const tests = files.filter((file) => file.endsWith('.test.ts'));
  expect(tests.length).toBeGreaterThan(30);
  expect(tests.filter((file) => /\bvi\.(doMock|mock)\(/.test(readFileSync(file, 'utf8')))).toEqual([]);
});
