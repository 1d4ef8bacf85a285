import type { Command } from 'commander';
import { canAsk, isConfirmed } from '../shared/confirm.js';
import type { CliContext } from '../shared/context.js';
import { CliError, UsageError } from '../shared/errors.js';
import { printable, printNote } from '../shared/print.js';
import { addManagementOptions, type ManagementFlags, openManager } from './flags.js';

interface Flags extends ManagementFlags {
  readonly yes?: true;
}

export function addDelete(program: Command, io: CliContext): void {
  addManagementOptions(program.command('delete').argument('<webhook>', 'its id, or its name'))
    .description('Delete a webhook, after asking. Shodai disables it instead.')
    .option('-y, --yes', 'do not ask')
    .action((idOrName: string, flags: Flags) => remove(io, idOrName, flags));
}

async function remove(io: CliContext, idOrName: string, flags: Flags): Promise<void> {
  const { yes, provider } = flags;
  if (!yes && !canAsk(io)) {
    throw new UsageError('delete asks before it deletes, and this is no terminal: give --yes');
  }
  const { findWebhook } = await import('./find-webhook.js');
  const { presentable } = await import('./show-webhook.js');
  const manager = await openManager(io, flags);
  const webhook = presentable(findWebhook(await manager.list(), idOrName));
  const verb = provider === 'shodai' ? 'Disable' : 'Delete';
  const what = printable(`webhook ${webhook.id}${webhook.name ? ` "${webhook.name}"` : ''} to ${webhook.url}`);
  if (!yes && !(await isConfirmed(io, `${verb} ${what}?`))) throw new CliError('nothing was deleted');
  await manager.delete(webhook.id);
  printNote(io, `${verb}d ${what}.`);
}
