import type { Command } from 'commander';
import { addSecretOptions } from '../secrets/flags.js';
import type { CliContext } from '../shared/context.js';
import { collect, integer, positive, positiveInteger } from '../shared/flag-values.js';
import type { TriggerOptions } from './send-samples.js';

export function addTrigger(program: Command, io: CliContext): void {
  const command = program
    .command('trigger')
    .description('Sign a sample event and send it to a receiver, once or at a rate.')
    .argument('[type]', 'the event type, such as outbid or client:outbid', 'webhook_test')
    .option('--url <url>', 'the receiver', 'http://127.0.0.1:8787/vast/webhooks')
    .option('--count <n>', 'how many to send (default: 1)', positiveInteger)
    .option('--rate <n>', 'how many to send a second (for 10 s, if neither --count nor --duration is given)', positive)
    .option('--duration <seconds>', 'for how long to send', positive)
    .option(
      '--connections <n>',
      'how many requests run at once at most (default: 1; with --rate or --duration 32, but not of one event)',
      positiveInteger,
    )
    .option('--deadline <seconds>', 'when to end at the latest, with status 1 if something is left', positive)
    .option('--event-id <id>', 'the same event each time, to try out duplicates: one after the other')
    .option(
      '--set <field=value>',
      "another value for a field of the event, such as subject='Hello'; repeatable",
      collect,
    )
    .option('--attempt <n>', 'which attempt it says it is', positiveInteger)
    .option('--age <seconds>', 'how long ago it says it was signed, to try out stale ones', integer)
    .option('--json', 'print JSON');
  addSecretOptions(command).action(async (type: string, options: TriggerOptions) => {
    const { trigger } = await import('./send-samples.js');
    await trigger(type, options, io);
  });
}
