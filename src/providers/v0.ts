import { defineProvider } from './define-provider.js';
import { text } from './provider.js';
import { urlToken } from './url-token.js';

/**
 * The body of a v0 hook. Neither its form nor its fields are documented. It is unsigned, so use it only as a hint, and
 * fetch the chat from the API.
 */
export interface V0Event {
  readonly [field: string]: unknown;
}

export const v0 = defineProvider({
  name: 'v0',
  path: '/v0/webhooks',
  scheme: urlToken({ parameter: 'token' }),
  // No id, because it would be unsigned: anybody with the token could make an event look like a duplicate.
  idOf: () => undefined,
  // The fields that most likely have the type.
  typeOf: ({ type, event }: V0Event) => text(type) || text(event) || undefined,
  summarize: (_event, type) => ({
    subject: `v0: ${type || 'a hook was called'} (unsigned)`,
    url: 'https://v0.app/',
  }),
});
