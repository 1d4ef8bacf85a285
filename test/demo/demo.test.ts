import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Checkout, checkout } from '../examples/checkout.js';

let project: Checkout;
beforeAll(async () => {
  project = await checkout();
});
afterAll(() => project?.remove());

async function runDemo(...args: string[]) {
  const demo = project.start(['examples/demo/demo.mjs', ...args]);
  return { status: await demo.exited, stdout: demo.stdout, stderr: demo.stderr };
}

const everybody = 'Slack, Google Chat, log';
const asItShouldBe = [
  ['future_unrecognized_type', '204 accepted', 'Slack, log'],
  ['webhook_test', '204 accepted', 'Slack, log'],
  ['outbid', '204 accepted', everybody],
  ['instance_started', '204 accepted', everybody],
  ['instance_resumed', '204 accepted', everybody],
  ['instance_resumed, re-encoded', '204 duplicate', 'nobody'],
  ['low_credit', '204 accepted', 'Slack, log'],
  ['outbid, sent again', '204 duplicate', 'nobody'],
  ['outbid, changed on its way', '401 signature_mismatch', 'nobody'],
  ['outbid, signed an hour ago', '401 stale_timestamp', 'nobody'],
  ['outbid, without signature', '401 missing_signature', 'nobody'],
];

describe('npm run demo', () => {
  it('prints what was sent, answered and delivered, for Express and for Koa, and ends with status 0', async () => {
    const { status, stdout, stderr } = await runDemo();
    expect(stderr).toBe('');
    const rows = stdout.split('\n').filter((line) => /^[✓✗]/.test(line));
    const cells = rows.map((line) => line.split(/\s{2,}/));
    const right = asItShouldBe.map(([sent, ...rest]) => [`✓ ${sent}`, ...rest]);
    expect(cells).toEqual([...right, ...right]);
    expect(stdout.match(/^(Express|Koa) /gm)).toEqual(['Express ', 'Koa ']);
    expect(stdout).toContain('All 22 lines are as they should be.');
    expect(status).toBe(0);
  });

  it('lines its columns up, within 80 characters, and colours only a terminal', async () => {
    const { stdout } = await runDemo();
    const rows = stdout.split('\n').filter((line) => /^[✓ ] \S/.test(line));
    expect(new Set(rows.map((line) => line.search(/answered|[24]0[14] /)))).toHaveProperty('size', 1);
    expect(new Set(rows.map((line) => line.search(/delivered to|Slack|nobody/)))).toHaveProperty('size', 1);
    expect(rows.filter((line) => line.length > 80)).toEqual([]);
    expect(stdout).not.toContain('\u001b');
  });

  it('prints no secret and no signature', async () => {
    const { stdout } = await runDemo();
    expect(stdout).not.toMatch(/[0-9a-f]{32}/);
  });

  it('marks wrong results, prints the expected ones, and ends with status 1', async () => {
    const { status, stdout } = await runDemo('--slack-status', '500');
    const outbid = stdout.indexOf('✗ outbid  ');
    expect(stdout.slice(outbid).split('\n').slice(0, 2)).toEqual([
      expect.stringMatching(/^✗ outbid +502 sink_failed +Google Chat, log$/),
      expect.stringMatching(/^ +should have been +204 accepted +Slack, Google Chat, log$/),
    ]);
    expect(stdout).toMatch(/^✗ outbid, sent again +502 sink_failed +nobody$/m);
    expect(stdout).toMatch(/^✓ outbid, without signature/m);
    expect(stdout).toContain('16 of 22 lines are not as they should be.');
    expect(status).toBe(1);
  });

  it('explains itself', async () => {
    const help = await runDemo('--help');
    expect([help.status, help.stdout]).toEqual([0, expect.stringMatching(/^Usage: npm run demo/)]);
    for (const args of [['--slack-status'], ['--slack-status', '200'], ['--nonsense'], ['stray']]) {
      const wrong = await runDemo(...args);
      expect([wrong.status, wrong.stdout, wrong.stderr]).toEqual([
        2,
        '',
        expect.stringContaining('Usage: npm run demo'),
      ]);
    }
  });

  it('is the script that package.json runs after a build', async () => {
    const { scripts } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(scripts.demo).toMatch(/^npm run build .*&& node examples\/demo\/demo\.mjs$/);
  });
});
