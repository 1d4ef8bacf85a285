import { type Command, Option } from 'commander';
import { addApiOptions, gather } from '../manage/flags.js';
import type { CliContext } from '../shared/context.js';
import { collect, toPort } from '../shared/flag-values.js';
import type { DevOptions } from './session.js';

const manual = `
Starts a receiver on loopback, takes the tunnel's address, creates or updates the webhook of that name at Vast.ai, keeps
its secret in .env, has a test sent, and shows what arrives here and on a page on loopback. Ctrl-C ends all of it; the
webhook stays, for the next time.

Environment variables, also from .env; options win:
  VAST_API_KEY             without it nothing is registered, and the receiver takes what arrives all the same
  VAST_WEBHOOK_SECRET      the webhook's signing secret. It is written there, or when that is another webhook's, to
  VAST_WEBHOOK_DEV_SECRET  which goes before it
  SLACK_WEBHOOK_URL        a Slack incoming webhook
  GOOGLE_CHAT_URL          a Google Chat incoming webhook

Examples, with PORT set to the receiver's port:
  vast-webhook dev --tunnel 'cloudflared tunnel --url http://127.0.0.1:$PORT'
  vast-webhook dev --tunnel 'ngrok http $PORT --log stdout'
  vast-webhook dev --tunnel-url https://hooks.example.com
  vast-webhook dev --forward-to http://127.0.0.1:3000/vast/webhooks`;

export function addDev(program: Command, io: CliContext): void {
  const command = program
    .command('dev')
    .description('Receive a webhook on this machine through a tunnel, and show deliveries on a page.')
    .addOption(
      new Option('--tunnel-url <url>', 'the https address at which a tunnel leads to the receiver').conflicts('tunnel'),
    )
    .option('--tunnel <command>', 'a command that opens such a tunnel, and prints its address')
    .option('--name <name>', 'the webhook to create or update', 'vast-webhook dev')
    .option(
      '--types <types>',
      'event types, repeatable or a comma list: client:outbid, outbid, "client:*" (default: all)',
      gather,
    )
    .option(
      '--forward-to <url>',
      'your own app, which gets each delivery as it came; its answer becomes that of the sender, and is shown',
    )
    .option('--port <port>', 'the port of the receiver', toPort, 8787)
    .option('--page-port <port>', 'the port of the page', toPort, 8788)
    .option(
      '--history <file>',
      'where deliveries are kept for the next time (default: a file of your own, a folder each)',
    )
    .option('--no-history', 'keep no deliveries for the next time')
    .option('--slack <url>', 'a Slack incoming webhook to deliver to; repeatable', collect)
    .option('--google-chat <url>', 'a Google Chat incoming webhook to deliver to; repeatable', collect)
    .option('--sink <[name=]url>', 'any other sink, as serve takes it; repeatable', collect);
  addApiOptions(command)
    .addHelpText('after', manual)
    .action(async (options: DevOptions) => {
      const { dev } = await import('./session.js');
      await dev(options, io);
    });
}
