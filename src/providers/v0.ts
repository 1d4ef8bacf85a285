import { type TokenProvider, text } from './provider.js';

/**
 * The body of a v0 hook. Neither its form nor its fields are documented. It is unsigned, so use it only as a hint, and
 * fetch the chat from the API.
 */
export interface V0Event {
  readonly [field: string]: unknown;
}

/** The fields that most likely have the type. */
function typeOf({ type, event }: V0Event): string {
  return text(type) || text(event);
}

export const v0: TokenProvider<V0Event> = {
  name: 'v0',
  path: '/v0/webhooks',
  token: 'token',
  // No id, because it would be unsigned: anybody with the token could make an event look like a duplicate.
  idOf: () => undefined,
  typeOf: (event) => typeOf(event) || undefined,
  summarize(event) {
    const type = typeOf(event);
    return {
      subject: `v0: ${type || 'a hook was called'} (unsigned)`,
      message: '',
      type,
      severity: 'info',
      url: 'https://v0.app/',
    };
  },
};
