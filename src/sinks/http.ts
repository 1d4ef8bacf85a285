import { createHmac } from 'node:crypto';
import type { Sink } from '../contracts/sink.js';
import { anything, checkOptions } from '../util/check-options.js';
import { type HttpSinkOptions, httpSinkChecks, poster } from './post.js';

/** For errors. */
const service = 'HTTP endpoint';

/** With one key, or with several while they are rotated: each request is then signed with every one of them. */
export type HttpOptions = HttpSinkOptions &
  (
    | {
        /** `whsec_` and the base64 of 24 to 64 bytes. */
        readonly secret: string;
        /** In place of `secret`. */
        readonly secrets?: undefined;
      }
    | {
        /** As `secret`, the new one first. */
        readonly secrets: readonly string[];
        /** In place of `secrets`. */
        readonly secret?: undefined;
      }
  );

/**
 * Hands events on to an address of yours: the body as the sender wrote it, signed as Standard Webhooks has it
 * (headers `webhook-id`, the event id; `webhook-timestamp`; `webhook-signature`), afresh at each attempt. A secret is
 * `whsec_` and the base64 of 24 to 64 bytes. Source: standardwebhooks.com, specification 1.0.
 * Throws a `TypeError` for a URL, a secret or an option that nobody can have meant.
 */
export function http<Event extends object>(url: string, options: HttpOptions): Sink<Event> {
  const keys = keysOf(options);
  checkOptions(options, { ...httpSinkChecks, secret: anything, secrets: anything }, service);
  const { name = 'http' } = options;
  const post = poster(service, url, options);
  return {
    name,
    async deliver(_event, context) {
      const { delivery } = context;
      const id = headerValueOf(delivery.id);
      const timestamp = String(Math.floor(Date.now() / 1000));
      // Drops a byte-order mark, which JSON parsers refuse.
      const body = new TextDecoder().decode(delivery.rawBody);
      const signatures = keys.map((key) => {
        const digest = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
        return `v1,${digest}`;
      });
      await post(body, context, {
        'webhook-id': id,
        'webhook-timestamp': timestamp,
        'webhook-signature': signatures.join(' '),
      });
    },
  };
}

/** Neither the text nor its length is shown: it is a secret. */
function keysOf(options: HttpOptions | undefined): Buffer[] {
  const { secret, secrets } = options ?? {};
  const list: readonly unknown[] | undefined = secrets === undefined ? [secret] : secrets;
  if ((secret === undefined) === (secrets === undefined) || !Array.isArray(list) || list.length === 0) {
    throw new TypeError(
      "HTTP endpoint: give one of secret: 'whsec_...' and secrets: ['whsec_...', ...]: is the environment variable set?",
    );
  }
  return list.map((each) => {
    const [, base64] = (typeof each === 'string' && /^(?:whsec_)?([A-Za-z\d+/]+={0,2})$/.exec(each)) || [];
    const key = Buffer.from(base64 ?? '', 'base64');
    if (key.length < 24 || key.length > 64) {
      throw new TypeError(
        'HTTP endpoint: a secret must be whsec_ and the base64 of 24 to 64 bytes: make one with openssl rand -base64 32',
      );
    }
    return key;
  });
}

/** Headers hold visible ASCII, event ids anything but control characters. */
function headerValueOf(id: string): string {
  return /^[!-~]+$/.test(id) ? id : encodeURIComponent(id);
}
