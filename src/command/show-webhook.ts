import type { Io } from './io.js';
import type { Webhook } from './managers.js';
import { printTable } from './print.js';

/** A webhook as it may be shown: what stands in a URL's query is a token, for v0 the only secret that there is. */
export function presentable(webhook: Webhook, isSecretAskedFor = false): Webhook {
  return isSecretAskedFor ? webhook : { ...webhook, url: withoutToken(webhook.url) };
}

export function withoutToken(url: string): string {
  return url.replace(/([?&][^=&#]+=)[^&#]*/g, '$1…').replace(/\/\/[^/@]*@/, '//…@');
}

export function printWebhooks(io: Io, webhooks: readonly Webhook[]): void {
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
