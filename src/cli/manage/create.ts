import type { Command } from 'commander';
import { addSecretTarget, askForSecret, isInDoubt, openSecretTarget, type SecretFlags } from '../secrets/write.js';
import type { CliContext } from '../shared/context.js';
import { UsageError } from '../shared/errors.js';
import { printJson, printNote } from '../shared/print.js';
import {
  addFilterOptions,
  addManagementOptions,
  asUsage,
  type FilterFlags,
  filtersIn,
  gather,
  type ManagementFlags,
  openManager,
} from './flags.js';
import { services } from './services.js';
import type { WebhookInput } from './webhook.js';

interface Flags extends ManagementFlags, SecretFlags, FilterFlags {
  readonly chatId?: string;
  readonly name?: string;
  readonly url: string;
  readonly type?: readonly string[];
}

export function addCreate(program: Command, io: CliContext): void {
  const command = addSecretTarget(
    addManagementOptions(program.command('create'))
      .description('Create a webhook, and keep its secret in .env or a file. The service gives the secret only once.')
      .requiredOption('--url <url>', 'where deliveries go: https, and public')
      .option('--name <name>', 'what to call it')
      .option(
        '--type <types>',
        'event types, repeatable or a comma list: client:outbid, outbid, "client:*", all',
        gather,
      ),
  );
  addFilterOptions(command)
    .option('--chat-id <id>', 'v0: only of this chat (default: all chats)')
    .option('--json', 'print JSON')
    .action((flags: Flags) => create(io, flags));
}

async function create(io: CliContext, flags: Flags): Promise<void> {
  const { expandTypes } = await import('./expand-types.js');
  const { keysOf, presentable, printMore, printWebhooks } = await import('./show-webhook.js');
  const { provider, name, url } = flags;
  requireTypes(flags);
  const filters = filtersIn(flags);
  if (flags.chatId !== undefined && provider !== 'v0') throw new UsageError('--chat-id is for --provider v0');
  if (provider === 'v0') refuseSecretFlags(flags);
  const manager = await openManager(io, flags);
  const catalogue = keysOf(await manager.types());
  const types = flags.type && expandTypes(flags.type, catalogue);
  const input: WebhookInput & { readonly url: string } = { name, url, types, filters, chatId: flags.chatId };
  const { title, secretName } = services[provider];
  const owner = { service: title, defaultName: secretName };
  const target = provider === 'v0' ? undefined : await openSecretTarget(io, flags, owner);
  const ask = () => manager.create(input);
  const creating = target
    ? askForSecret(io, target, flags, ask, ({ webhook, secret }) => ({ secret, id: webhook.id }))
    : ask();
  const { webhook } = await creating.catch((error: unknown) => {
    if (target && isInDoubt(error)) {
      printNote(io, 'If it was created all the same, nobody has its secret: look with "list", and use rotate-secret.');
    }
    throw asUsage(error);
  });
  if (flags.json) printJson(io, presentable(webhook, flags.showSecret));
  else {
    printWebhooks(io, [presentable(webhook, flags.showSecret)], catalogue);
    printMore(io, webhook, catalogue);
  }
  adviseOn(io, flags, types ?? []);
}

function requireTypes({ provider, type = [] }: Flags): void {
  if (type.length === 0 && provider !== 'shodai') {
    throw new UsageError('--type is needed: "vast-webhook types" lists them, "--type all" takes them all');
  }
}

function refuseSecretFlags({ secretFile, envFile, envName, replace }: Flags): void {
  if (secretFile ?? envFile ?? envName ?? replace) {
    throw new UsageError(
      'v0 does not sign its deliveries: there is no secret to write, a token in --url takes its place',
    );
  }
}

function adviseOn(io: CliContext, { provider, url }: Flags, types: readonly string[]): void {
  if (provider === 'v0' && !new URL(url).searchParams.has('token')) {
    printNote(
      io,
      'v0 does not sign its deliveries, and this URL has no ?token= that only v0 knows: anybody can send to it.',
    );
  }
  const contexts = new Set(types.map((key) => key.split(':', 1)[0]));
  if (provider === 'vast' && contexts.size > 1) {
    printNote(
      io,
      'Its types are of renting and hosting at once, and a delivery does not say which it is about: make one webhook for each.',
    );
  }
}
