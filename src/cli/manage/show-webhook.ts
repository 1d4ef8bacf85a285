import type { CliContext } from '../shared/context.js';
import { printableJson, printNote } from '../shared/print.js';
import { printTable } from '../shared/table.js';
import type { Manager, Webhook, WebhookType } from './webhook.js';

/** A webhook as it may be shown: what stands in a URL's query is a token, for v0 the only secret that there is. */
export function presentable(webhook: Webhook, isSecretAskedFor = false): Webhook {
  return isSecretAskedFor ? webhook : { ...webhook, url: withoutToken(webhook.url) };
}

export function withoutToken(url: string): string {
  return url.replace(/([?&][^=&#]+=)[^&#]*/g, '$1…').replace(/\/\/[^/@]*@/, '//…@');
}

/** What a call has done to the account beside the webhook, and what the table has no room for. */
export function printMore(io: CliContext, webhook: Webhook, catalogue: readonly string[]): void {
  const { enabledTypes, chatId, filters, updatedAt } = webhook;
  if (enabledTypes) {
    printNote(io, `Switched on in the account's notification settings: ${shortTypes(enabledTypes, catalogue)}`);
  }
  if (chatId !== undefined) printNote(io, `Limited to the chat ${chatId}.`);
  if (filters && Object.keys(filters).length > 0) printNote(io, `Filters: ${printableJson(filters)}`);
  if (updatedAt !== undefined) printNote(io, `Updated at ${updatedAt}.`);
}

/** All types of the service. None where it does not say, because a call that succeeded is shown all the same. */
export async function catalogueOf(manager: Manager): Promise<readonly string[]> {
  return manager.types().then(keysOf, () => []);
}

export function keysOf(types: readonly WebhookType[]): readonly string[] {
  return types.map(({ key }) => key);
}

/** As rows of a table. `catalogue` has all types of the service that are known. */
export function printWebhooks(io: CliContext, webhooks: readonly Webhook[], catalogue: readonly string[]): void {
  printTable(io, [
    ['ID', 'NAME', 'URL', 'TYPES', 'CREATED'],
    ...webhooks.map(({ id, name, url, types, isActive, createdAt }) => [
      id,
      name ?? '',
      url,
      isActive ? shortTypes(types, catalogue) : 'disabled',
      createdAt?.slice(0, 10) ?? '',
    ]),
  ]);
}

/** Types as `--type` takes them: `all` and `client:*` where the catalogue has no other, with how many they are. */
function shortTypes(types: readonly string[], catalogue: readonly string[]): string {
  const isComplete = (keys: readonly string[]) => keys.length > 1 && keys.every((key) => types.includes(key));
  if (isComplete(catalogue)) return `all (${types.length})`;
  const groups = new Map<string, string[]>();
  for (const key of types) {
    const context = contextOf(key);
    const isWhole = context !== '' && isComplete(catalogue.filter((each) => contextOf(each) === context));
    const group = isWhole ? `${context}*` : key;
    groups.set(group, [...(groups.get(group) ?? []), key]);
  }
  return [...groups].map(([group, { length }]) => (length > 1 ? `${group} (${length})` : group)).join(' ');
}

/** `client:` of `client:outbid`. */
function contextOf(key: string): string {
  return key.slice(0, key.indexOf(':') + 1);
}
