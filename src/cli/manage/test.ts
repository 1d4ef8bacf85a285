import type { Command } from 'commander';
import type { CliContext } from '../shared/context.js';
import { printable, printLine } from '../shared/print.js';
import { addManagementOptions, type ManagementFlags, openManager, requireVerb } from './flags.js';

export function addTest(program: Command, io: CliContext): void {
  addManagementOptions(program.command('test').argument('<webhook>', 'its id, or its name'))
    .description('Have the service deliver a test event to a webhook, and say how that went.')
    .action((idOrName: string, flags: ManagementFlags) => test(io, idOrName, flags));
}

async function test(io: CliContext, idOrName: string, flags: ManagementFlags): Promise<void> {
  requireVerb(flags, 'test');
  const { findWebhook } = await import('./find-webhook.js');
  const { withoutToken } = await import('./show-webhook.js');
  const manager = await openManager(io, flags);
  const { id, url } = findWebhook(await manager.list(), idOrName);
  const said = await manager.test(id);
  printLine(io, printable(`The test event was delivered to ${withoutToken(url)}${said ? ` (${said})` : ''}.`));
}
