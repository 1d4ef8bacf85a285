import { basename } from 'node:path';
import { build } from 'esbuild';
import { describe, expect, it } from 'vitest';
import type * as sinks from '../../src/sinks/index.js';

const batching = ['batcher.ts', 'batch.ts', 'digest-event.ts', 'set-id.ts', 'happened-at.ts', 'summary.ts', 'text.ts'];

/** The file of each sink, and those that it is made of. */
const filesOf: Readonly<Record<keyof typeof sinks, readonly string[]>> = {
  slack: ['slack.ts', 'service-address.ts', 'chat.ts', 'happened-at.ts', 'summary.ts', 'post.ts', 'text.ts'],
  slackWorkflow: [
    'slack-workflow.ts',
    'service-address.ts',
    'chat.ts',
    'happened-at.ts',
    'summary.ts',
    'post.ts',
    'text.ts',
  ],
  googleChat: ['service-address.ts', 'google-chat.ts', 'chat.ts', 'happened-at.ts', 'summary.ts', 'post.ts', 'text.ts'],
  discord: ['service-address.ts', 'discord.ts', 'chat.ts', 'happened-at.ts', 'summary.ts', 'post.ts', 'text.ts'],
  teams: ['service-address.ts', 'teams.ts', 'chat.ts', 'happened-at.ts', 'summary.ts', 'post.ts', 'text.ts'],
  telegram: [
    'telegram.ts',
    'base-address.ts',
    'service-address.ts',
    'chat.ts',
    'happened-at.ts',
    'summary.ts',
    'post.ts',
    'text.ts',
  ],
  ntfy: ['ntfy.ts', 'service-address.ts', 'chat.ts', 'happened-at.ts', 'summary.ts', 'post.ts', 'text.ts'],
  pushover: ['pushover.ts', 'service-address.ts', 'chat.ts', 'happened-at.ts', 'summary.ts', 'post.ts', 'text.ts'],
  pagerDuty: ['pager-duty.ts', 'service-address.ts', 'happened-at.ts', 'summary.ts', 'post.ts', 'text.ts'],
  http: ['service-address.ts', 'http.ts', 'post.ts'],
  cloudEvents: ['service-address.ts', 'cloud-events.ts', 'happened-at.ts', 'post.ts'],
  log: ['log.ts'],
  bullmq: ['bullmq.ts'],
  outboxFile: [],
  sqliteOutbox: [],
  alerting: [],
  digest: ['digest.ts', ...batching],
  quiet: ['quiet.ts', ...batching],
  gotify: [
    'gotify.ts',
    'chat.ts',
    'service-address.ts',
    'base-address.ts',
    'happened-at.ts',
    'summary.ts',
    'post.ts',
    'text.ts',
  ],
  matrix: [
    'matrix.ts',
    'chat.ts',
    'service-address.ts',
    'base-address.ts',
    'happened-at.ts',
    'summary.ts',
    'post.ts',
    'text.ts',
  ],
  mattermost: ['mattermost.ts', 'chat.ts', 'service-address.ts', 'happened-at.ts', 'summary.ts', 'post.ts', 'text.ts'],
  zulip: [
    'zulip.ts',
    'chat.ts',
    'service-address.ts',
    'base-address.ts',
    'happened-at.ts',
    'summary.ts',
    'post.ts',
    'text.ts',
  ],
  apprise: ['apprise.ts', 'chat.ts', 'service-address.ts', 'happened-at.ts', 'summary.ts', 'post.ts', 'text.ts'],
  email: ['email.ts', 'chat.ts', 'happened-at.ts', 'summary.ts', 'post.ts', 'text.ts'],
};

async function bundled(contents: string): Promise<{ files: string[]; code: string }> {
  const { metafile, outputFiles } = await build({
    stdin: { contents, resolveDir: 'test/sinks', loader: 'ts' },
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    metafile: true,
    write: false,
    outfile: 'bundle.js',
  });
  const [output] = Object.values(metafile.outputs);
  const files = Object.entries(output?.inputs ?? {})
    .filter(([file, { bytesInOutput }]) => file.startsWith('src/sinks/') && bytesInOutput > 0)
    .map(([file]) => basename(file));
  return { files: files.sort(), code: outputFiles[0]?.text ?? '' };
}

describe('a bundle', () => {
  it.each(Object.entries(filesOf))('that imports %s holds no other sink', async (name, files) => {
    const { files: found } = await bundled(`import { ${name} } from '../../src/sinks/index.js'; console.log(${name});`);
    expect(found).toEqual([...files].sort());
  });

  it('of the middleware contains no sink', async () => {
    const { files, code } = await bundled(
      `import { vastWebhook } from '../../src/index.js'; console.log(vastWebhook('secret'));`,
    );
    expect(files).toEqual([]);
    expect(code).toContain('vastWebhook');
  });
});
