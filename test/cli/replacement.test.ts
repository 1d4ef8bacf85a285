import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import * as files from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { NotPlaced, Replacement } from '../../src/cli/secrets/replacement.js';
import { temporaryFile } from '../support/temporary-file.js';

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof files>();
  return { ...real, rename: vi.fn(real.rename), open: vi.fn(real.open) };
});
afterEach(() => void vi.restoreAllMocks());

const failing = (code: string) => async () => {
  throw Object.assign(new Error(code), { code });
};

function fileWith(content: string): string {
  const file = temporaryFile('.env');
  writeFileSync(file, content);
  return file;
}

const beside = (file: string) => `${file}.vast-webhook.tmp`;

/** Has an operation of each file that is opened from now on fail with a code. */
async function failingOn(name: 'write' | 'writeFile' | 'sync' | 'truncate', code: string, file: string) {
  const { open } = await vi.importActual<typeof files>('node:fs/promises');
  vi.mocked(files.open).mockImplementation(async (path, ...rest) => {
    const handle = await open(path, ...rest);
    if (path === file) Object.assign(handle, { [name]: failing(code) });
    return handle;
  });
}

describe('Replacement', () => {
  it('writes into a file that is mounted by itself, which cannot be renamed to', async () => {
    const file = fileWith('A=1\nand more than comes\n');
    vi.mocked(files.rename).mockImplementation(failing('EBUSY'));
    await (await Replacement.open(file)).write('s', async () => 'A=1\nS=s\n');
    expect(readFileSync(file, 'utf8')).toBe('A=1\nS=s\n');
    expect(readdirSync(dirname(file))).toEqual([basename(file)]);
  });

  it.each(['write', 'sync'] as const)('finds a full disk before anything is asked for, by %s', async (name) => {
    const file = fileWith('A=1\n');
    await failingOn(name, 'ENOSPC', beside(file));
    await expect(Replacement.open(file)).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(readdirSync(dirname(file))).toEqual([basename(file)]);
  });

  it.each(['writeFile', 'truncate', 'sync'] as const)(
    'leaves the content beside a file of which a part was overwritten when %s failed',
    async (name) => {
      const file = fileWith('A=1\n');
      const replacement = await Replacement.open(file);
      vi.mocked(files.rename).mockImplementation(failing('EBUSY'));
      await failingOn(name, 'EIO', file);
      await expect(replacement.write('s', async () => 'A=1\nS=s\n')).rejects.toThrow(NotPlaced);
      expect(readFileSync(beside(file), 'utf8')).toBe('A=1\nS=s\n');
    },
  );

  it('says that nothing is kept when the content could not be written at all', async () => {
    const file = fileWith('A=1\n');
    await failingOn('writeFile', 'EIO', beside(file));
    const replacement = await Replacement.open(file);
    await expect(replacement.write('s', async () => 'S=s\n')).rejects.toMatchObject({ code: 'EIO' });
    expect(readFileSync(file, 'utf8')).toBe('A=1\n');
    expect(readdirSync(dirname(file))).toEqual([basename(file)]);
  });

  it('keeps the secret beside the file when there is no content that could be written', async () => {
    const file = fileWith('A=1\n');
    const replacement = await Replacement.open(file);
    await expect(replacement.write('the-secret', failing('changed') as never)).rejects.toThrow(NotPlaced);
    expect(readFileSync(beside(file), 'utf8')).toBe('the-secret\n');
    expect(readFileSync(file, 'utf8')).toBe('A=1\n');
    await expect(Replacement.open(file)).rejects.toThrow(/holds a secret/);
  });
});
