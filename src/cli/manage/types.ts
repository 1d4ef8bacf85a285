import type { Command } from 'commander';
import type { CliContext } from '../shared/context.js';
import { printJson, printNote } from '../shared/print.js';
import { addManagementOptions, connect, findApiKey, type ManagementFlags } from './flags.js';

export function addTypes(program: Command, io: CliContext): void {
  addManagementOptions(program.command('types'))
    .description(
      'List the event types that a webhook can subscribe to: the live list with an API key, else the known one.',
    )
    .option('--json', 'print JSON')
    .action((flags: ManagementFlags) => listTypes(io, flags));
}

async function listTypes(io: CliContext, flags: ManagementFlags): Promise<void> {
  const { vastCatalogue } = await import('./vast-catalogue.js');
  const { printTable } = await import('../shared/table.js');
  const known = flags.provider === 'vast' ? vastCatalogue() : [];
  const apiKey = await findApiKey(io, flags);
  const isLive = flags.provider === 'vast' && apiKey !== undefined;
  const types =
    flags.provider === 'vast' && apiKey === undefined
      ? known
      : // The other services have no call for it, so that any key will do.
        await (await connect(io, flags, apiKey ?? 'none')).types();
  const isNew = (key: string) => isLive && !known.some((type) => type.key === key);
  if (flags.json) {
    printJson(
      io,
      types.map((type) => ({ ...type, isKnown: !isNew(type.key) })),
    );
    return;
  }
  printTable(io, [
    ['TYPE', 'TOPIC', 'TITLE'],
    ...types.map(({ key, topic, title }) => [key, topic, isNew(key) ? `${title} (newer than this version)` : title]),
  ]);
  if (flags.provider === 'vast' && !isLive) {
    printNote(io, 'These are the types that this version knows. Set VAST_API_KEY for the live list.');
  }
}
