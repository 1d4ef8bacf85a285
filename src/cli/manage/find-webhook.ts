import { closest } from 'fastest-levenshtein';
import { CliError } from '../shared/errors.js';
import type { Webhook } from './webhook.js';

/** The webhook of an id, or else of a name that no other has. */
export function findWebhook(webhooks: readonly Webhook[], idOrName: string): Webhook {
  const matching = webhooks.filter(({ id, name }) => id === idOrName || name === idOrName);
  const [webhook, another] = matching;
  if (webhook && !another) return webhook;
  if (another) {
    throw new CliError(
      `several webhooks are meant by "${idOrName}": give the id, ${matching.map(({ id }) => id).join(' or ')}`,
    );
  }
  if (webhooks.length === 0) throw new CliError(`there is no webhook "${idOrName}": there is none at all`);
  const names = webhooks.flatMap(({ id, name }) => (name ? [name, id] : [id]));
  throw new CliError(`there is no webhook "${idOrName}": do you mean "${closest(idOrName, names)}"?`);
}
