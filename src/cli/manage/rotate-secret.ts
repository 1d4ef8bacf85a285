import type { Command } from 'commander';
import { addSecretTarget, askForSecret, isInDoubt, openSecretTarget, type SecretFlags } from '../secrets/write.js';
import type { CliContext } from '../shared/context.js';
import { printNote } from '../shared/print.js';
import { addManagementOptions, type ManagementFlags, openManager, requireVerb } from './flags.js';
import { services } from './services.js';

interface Flags extends ManagementFlags, SecretFlags {}

export function addRotateSecret(program: Command, io: CliContext): void {
  addSecretTarget(
    addManagementOptions(program.command('rotate-secret').argument('<webhook>', 'its id, or its name')).description(
      'Give a webhook a new secret, and keep it in .env or a file. The old one ends at once, as far as is documented.',
    ),
  ).action((idOrName: string, flags: Flags) => rotateSecret(io, idOrName, flags));
}

async function rotateSecret(io: CliContext, idOrName: string, flags: Flags): Promise<void> {
  requireVerb(flags, 'rotate-secret');
  const { findWebhook } = await import('./find-webhook.js');
  const manager = await openManager(io, flags);
  const webhooks = await manager.list();
  const { id } = findWebhook(webhooks, idOrName);
  const { title, secretName } = services[flags.provider];
  const rotated = { id, isOnly: webhooks.length === 1 };
  const target = await openSecretTarget(io, flags, { service: title, defaultName: secretName, rotated });
  try {
    await askForSecret(
      io,
      target,
      flags,
      () => manager.rotateSecret(id),
      (secret) => ({ secret, id }),
    );
  } catch (error) {
    if (isInDoubt(error)) {
      printNote(
        io,
        'If it was rotated all the same, the old secret is dead, and nobody has the new one: rotate it again.',
      );
    }
    throw error;
  }
  printNote(
    io,
    '`serve --secret-file` reads the file again by itself. Restart what reads a secret only at its start: until then it refuses deliveries, and the sender drops what is refused.',
  );
}
