import type { Command } from 'commander';
import { addSecretOptions } from '../secrets/flags.js';
import type { CliContext } from '../shared/context.js';
import { positive, positiveInteger } from '../shared/flag-values.js';
import type { ReplayOptions } from './send-stored.js';

const manual = `
The file holds JSON lines or a JSON array of events, of { "headers", "body" }, of deliveries as a queue or outbox keeps
them, or it is what \`serve --log json --log-events\` wrote. A receiver answers 2xx to a duplicate, and does not
deliver it again.`;

export function addReplay(program: Command, io: CliContext): void {
  const command = program
    .command('replay')
    .description('Sign stored deliveries afresh, with the event ids they have, and send them again.')
    .argument('<file>', 'the deliveries, or - for standard input')
    .option('--url <url>', 'the receiver', 'http://127.0.0.1:8787/vast/webhooks')
    .option('--rate <n>', 'how many to send a second (default: as fast as they are answered)', positive)
    .option(
      '--connections <n>',
      'how many requests run at once at most; with 1 they keep their order',
      positiveInteger,
      1,
    )
    .option('--deadline <seconds>', 'when to end at the latest, with status 1 if something is left', positive)
    .option('--json', 'print JSON');
  addSecretOptions(command)
    .addHelpText('after', manual)
    .action(async (file: string, options: ReplayOptions) => {
      const { replay } = await import('./send-stored.js');
      await replay(file, options, io);
    });
}
