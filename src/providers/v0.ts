import { type TokenProvider, text } from './provider.js';

/**
 * What a v0 hook says, in whatever form: neither the body nor its fields are documented. Nobody has signed it, so take
 * it for a wake-up, and read the chat again through the API.
 */
export interface V0Event {
  readonly [field: string]: unknown;
}

/** Where the type most likely stands. */
function typeOf({ type, event }: V0Event): string {
  return text(type) || text(event);
}

export const v0: TokenProvider<V0Event> = {
  name: 'v0',
  path: '/v0/webhooks',
  token: 'token',
  // What nobody has signed is no key: anybody with the token could have an event taken for another.
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
