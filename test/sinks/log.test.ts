import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { vastWebhook } from '../../src/index.js';
import { type LogOptions, log } from '../../src/sinks/index.js';
import { sampleEvent } from '../../src/testing/index.js';
import { deliveryOf } from '../support/delivery.js';
import { deliverTo, eventWith, failureOf } from './deliver.js';

afterEach(() => {
  vi.restoreAllMocks();
});

async function linesFor(...events: object[]): Promise<string[]> {
  const lines: string[] = [];
  const sink = log({ write: (line) => lines.push(line) });
  for (const event of events) await deliverTo(sink, event);
  return lines;
}

describe('log writes', () => {
  it('one line of JSON for an event', async () => {
    const event = sampleEvent('outbid');
    const [line = '', ...rest] = await linesFor(event);
    expect(rest).toEqual([]);
    expect(line.endsWith('}\n')).toBe(true);
    expect(JSON.parse(line)).toEqual({
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      provider: 'vast',
      id: event.event_id,
      verified: true,
      type: 'outbid',
      severity: 'error',
      attempt: 1,
      event,
    });
  });

  it('when it came in and by which secret', async () => {
    const lines: string[] = [];
    const times = { timestamp: 1_790_000_000, receivedAt: 1_790_000_001_250 };
    const delivery = deliveryOf({ a: 'rawBody' }, { attempt: 2, webhook: 'renter', ...times });
    const { signal } = new AbortController();
    await log<object>({ write: (line) => lines.push(line) }).deliver({}, { delivery, signal });
    expect(JSON.parse(lines[0] ?? '')).toEqual({
      time: '2026-09-21T14:13:21.250Z',
      provider: 'vast',
      id: 'e1',
      verified: true,
      type: '',
      severity: 'info',
      webhook: 'renter',
      attempt: 2,
      event: {},
    });
  });

  it('to standard output', async () => {
    const written: string[] = [];
    vi.spyOn(process.stdout, 'write').mockImplementation(((line: string, done: (error?: Error) => void) => {
      written.push(line);
      setImmediate(done);
      return false;
    }) as never);
    await deliverTo(log());
    expect(written).toEqual([expect.stringMatching(/^\{"time":.*\}\n$/)]);
  });

  it('whole lines to a pipe, before the process ends', async () => {
    const script = `
      const { log } = await import('./src/sinks/log.ts');
      const delivery = { provider: 'vast', source: 'webhook' as const, verified: true, id: 'e1', attempt: 1, timestamp: 1, receivedAt: 1, rawBody: Buffer.from('{}') };
      for (let i = 0; i < 3; i++) await log().deliver({ message: 'x'.repeat(200_000) }, { delivery });
      process.exit();
    `;
    const bundle = await import('esbuild').then(({ build }) =>
      build({
        stdin: { contents: script, resolveDir: process.cwd(), loader: 'ts' },
        bundle: true,
        format: 'esm',
        platform: 'node',
        write: false,
      }),
    );
    const code = bundle.outputFiles[0]?.text ?? '';
    const run = promisify(execFile);
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', code], { maxBuffer: 10_000_000 });
    const lines = stdout.trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line).event.message.length)).toEqual([200_000, 200_000, 200_000]);
  });
});

describe('nothing in an event can break its line', () => {
  /** Characters that end a line, move a terminal's cursor or reverse the text. */
  const harmful = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}\p{Cs}]/u;

  it.each([
    ['a line break', 'a\nb\r\nc'],
    ['an escape sequence', '\u001B[2J\u001B]0;title\u0007'],
    ['a control sequence of one character', '\u009B2J'],
    ['a next line', '\u0085'],
    ['a line and a paragraph separator', '\u2028\u2029'],
    ['a delete', '\u007F'],
    ['a NUL', '\u0000'],
    ['marks that turn the text around', '\u202E\u2066\u061C\u200F'],
    ['half a surrogate pair', '\uD83D'],
    ['quotes and braces', '"}\n{"forged": true}'],
  ])('%s', async (_what, text) => {
    const event = eventWith({ subject: text, message: text, notif_type: text, [text]: [text] });
    const [line = ''] = await linesFor(event);
    expect(line.slice(0, -1)).not.toMatch(harmful);
    expect(JSON.parse(line).event).toEqual(event);
  });

  it('whatever it is', async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), fc.string({ unit: 'binary' }), async (value, text) => {
        const [line = ''] = await linesFor({ value, [text]: text });
        expect(line.slice(0, -1)).not.toMatch(harmful);
        expect(line.at(-1)).toBe('\n');
        expect(JSON.parse(line).event).toEqual(JSON.parse(JSON.stringify({ value, [text]: text })));
      }),
      { numRuns: 200 },
    );
  });
});

it('no secret, signature or raw body stands in a line', async () => {
  const [line] = await linesFor(eventWith({}));
  expect(line).not.toMatch(/a-secret-of-the-tests|sha256=|rawBody/);
});

describe('log fails', () => {
  it('when the writing fails, at once or later', async () => {
    const thrown = new Error('disk full');
    const now = log({
      write() {
        throw thrown;
      },
    });
    expect(await failureOf(deliverTo(now))).toBe(thrown);
    expect(await failureOf(deliverTo(log({ write: () => Promise.reject(thrown) })))).toBe(thrown);
  });

  it('when standard output is gone', async () => {
    vi.spyOn(process.stdout, 'write').mockImplementation(((_line: string, done: (error?: Error) => void) => {
      setImmediate(done, new Error('EPIPE'));
      return true;
    }) as never);
    expect((await failureOf(deliverTo(log()))).message).toBe('EPIPE');
  });
});

describe("log's options", () => {
  it('name it', () => {
    expect(log().name).toBe('log');
    expect(() => vastWebhook('s', { sinks: [log(), log({ name: 'second' })] })).not.toThrow();
    expect(() => log({ name: '' })).toThrow(TypeError);
  });

  it.each<unknown>([null, 'stdout', process.stdout])('refuse to write with case %#', (write) => {
    expect(() => log({ write: write as LogOptions['write'] })).toThrow('log: the option write must be a function');
  });
});
