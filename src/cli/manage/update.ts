import type { Command } from 'commander';
import type { CliContext } from '../shared/context.js';
import { UsageError } from '../shared/errors.js';
import { printJson } from '../shared/print.js';
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

interface Flags extends ManagementFlags, FilterFlags {
  readonly name?: string;
  readonly url?: string;
  readonly type?: readonly string[];
}

export function addUpdate(program: Command, io: CliContext): void {
  const command = addManagementOptions(program.command('update').argument('<webhook>', 'its id, or its name'))
    .description("Change a webhook's URL, name or event types. Its secret stays.")
    .option('--url <url>', 'where deliveries go: https, and public')
    .option('--name <name>', 'what to call it')
    .option('--type <types>', 'event types in place of those it has, repeatable or a comma list', gather);
  addFilterOptions(command)
    .option('--json', 'print JSON')
    .action((idOrName: string, flags: Flags) => update(io, idOrName, flags));
}

async function update(io: CliContext, idOrName: string, flags: Flags): Promise<void> {
  const { name, url, type } = flags;
  const filters = filtersIn(flags);
  if ((name ?? url ?? type ?? filters) === undefined) {
    throw new UsageError('say what to change: --url, --name, --type or a filter');
  }
  const { expandTypes } = await import('./expand-types.js');
  const { findWebhook } = await import('./find-webhook.js');
  const { catalogueOf, keysOf, presentable, printMore, printWebhooks } = await import('./show-webhook.js');
  const manager = await openManager(io, flags);
  const catalogue = type && keysOf(await manager.types());
  const types = type && expandTypes(type, catalogue ?? []);
  const { id } = findWebhook(await manager.list(), idOrName);
  const webhook = await manager.update(id, { name, url, types, filters }).catch((error: unknown) => {
    throw asUsage(error);
  });
  if (flags.json) printJson(io, presentable(webhook));
  else {
    const known = catalogue ?? (await catalogueOf(manager));
    printWebhooks(io, [presentable(webhook)], known);
    printMore(io, webhook, known);
  }
}
