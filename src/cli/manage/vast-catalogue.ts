import { vastTypes } from 'vast-webhook';
import type { WebhookType } from './webhook.js';

/** The types that this version knows, by the keys that webhooks subscribe to. */
export function vastCatalogue(): readonly WebhookType[] {
  return Object.entries(vastTypes).flatMap(([slug, { contexts, topic }]) =>
    contexts.map((context) => ({ key: `${context}:${slug}`, title: titleOf(slug), topic })),
  );
}

function titleOf(slug: string): string {
  return slug.replaceAll('_', ' ').replace(/^./, (letter) => letter.toUpperCase());
}
