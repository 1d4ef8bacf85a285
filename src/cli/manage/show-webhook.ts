import type { CliContext } from '../shared/context.js';
import { printableJson, printNote, printTable } from '../shared/print.js';
import type { Webhook } from './webhook.js';

/** A webhook as it may be shown: what stands in a URL's query is a token, for v0 the only secret that there is. */
export function presentable(webhook: Webhook, isSecretAskedFor = false): Webhook {
  return isSecretAskedFor ? webhook : { ...webhook, url: withoutToken(webhook.url) };
}

export function withoutToken(url: string): string {
  return url.replace(/([?&][^=&#]+=)[^&#]*/g, '$1…').replace(/\/\/[^/@]*@/, '//…@');
}

/** What a call has done to the account beside the webhook, and what the table has no room for. */
export function printMore(io: CliContext, { enabledTypes, chatId, filters, updatedAt }: Webhook): void {
  if (enabledTypes) printNote(io, `Switched on in the account's notification settings: ${enabledTypes.join(' ')}`);
  if (chatId !== undefined) printNote(io, `Limited to the chat ${chatId}.`);
  if (filters && Object.keys(filters).length > 0) printNote(io, `Filters: ${printableJson(filters)}`);
  if (updatedAt !== undefined) printNote(io, `Updated at ${updatedAt}.`);
}

export function printWebhooks(io: CliContext, webhooks: readonly Webhook[]): void {
  printTable(io, [
    ['ID', 'NAME', 'URL', 'TYPES', 'CREATED'],
    ...webhooks.map(({ id, name, url, types, isActive, createdAt }) => [
      id,
      name ?? '',
      url,
      isActive ? types.join(' ') : 'disabled',
      createdAt?.slice(0, 10) ?? '',
    ]),
  ]);
}
