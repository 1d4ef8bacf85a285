import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { alone } from '../../vitest.config.js';

it('the files that mock a module, and no others, have a process each, because an earlier file may have loaded it', () => {
  const tests = readdirSync('test', { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => `test/${file}`);
  expect(tests.length).toBeGreaterThan(100);
  const mocking = tests.filter((file) => /\bvi\.(doMock|mock)\(/.test(readFileSync(file, 'utf8')));
  expect(mocking.sort()).toEqual([...alone].sort());
});
