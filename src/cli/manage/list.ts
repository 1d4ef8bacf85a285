import type { Command } from 'commander';
import type { CliContext } from '../shared/context.js';
import { printJson, printNote } from '../shared/print.js';
import { addManagementOptions, type ManagementFlags, openManager } from './flags.js';

interface Flags extends ManagementFlags {
  readonly showSecret?: true;
}

export function addList(program: Command, io: CliContext): void {
  addManagementOptions(program.command('list'))
    .description('List your webhooks.')
    .option('--json', 'print JSON')
    .option('--show-secret', "show what stands in a URL's query, too")
    .action((flags: Flags) => list(io, flags));
}

async function list(io: CliContext, flags: Flags): Promise<void> {
  const { catalogueOf, presentable, printWebhooks } = await import('./show-webhook.js');
  const manager = await openManager(io, flags);
  const webhooks = (await manager.list()).map((webhook) => presentable(webhook, flags.showSecret));
  if (flags.json) printJson(io, webhooks);
  else if (webhooks.length > 0) printWebhooks(io, webhooks, await catalogueOf(manager));
  else printNote(io, 'There is no webhook: "vast-webhook create" makes one.');
}
