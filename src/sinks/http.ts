import type { Sink } from '../contracts/sink.js';
import { standardDigest, standardKey } from '../providers/standard-webhooks.js';
import { anything, checkOptions } from '../util/check-options.js';
import { type HttpSinkOptions, httpSinkChecks, poster } from './post.js';
import { checkAddress } from './service-address.js';

/** Name of the service in errors. */
const service = 'HTTP endpoint';

/** One secret, or several while they are rotated. Each request is signed with every secret. */
export type HttpOptions = HttpSinkOptions &
  (
    | {
        /** `whsec_` and the base64 of 24 to 64 bytes. */
        readonly secret: string;
        /** Give either `secret` or `secrets`. */
        readonly secrets?: undefined;
      }
    | {
        /** Each in the form of `secret`, the new one first. */
        readonly secrets: readonly string[];
        /** Give either `secret` or `secrets`. */
        readonly secret?: undefined;
      }
  );

/**
 * Delivers events to your own endpoint. The body is the one that the sender sent. Each attempt has a new signature by
 * Standard Webhooks: headers `webhook-id` (the event id), `webhook-timestamp` and `webhook-signature`. A secret is
 * `whsec_` and the base64 of 24 to 64 bytes. Source: standardwebhooks.com, specification 1.0.
 * Throws a `TypeError` for an invalid URL, secret or option, and for the URL of a chat.
 */
export function http<Event extends object>(url: string, options: HttpOptions): Sink<Event> {
  const keys = keysOf(options);
  checkOptions(options, { ...httpSinkChecks, secret: anything, secrets: anything }, service);
  const { name = 'http' } = options;
  checkAddress(service, url);
  const post = poster(service, url, options);
  return {
    name,
    async deliver(_event, context) {
      const { delivery } = context;
      const id = headerValueOf(delivery.id);
      const timestamp = String(Math.floor(Date.now() / 1000));
      // Drops a byte-order mark, because JSON parsers refuse it.
      const body = new TextDecoder().decode(delivery.rawBody);
      const signatures = keys.map((key) => `v1,${standardDigest(key, id, timestamp, body)}`);
      const headers = {
        'webhook-id': id,
        'webhook-timestamp': timestamp,
        'webhook-signature': signatures.join(' '),
      };
      await post(body, context, { headers });
    },
  };
}

/** Errors show neither the text nor its length, because it is a secret. */
function keysOf(options: HttpOptions | undefined): Buffer[] {
  const { secret, secrets } = options ?? {};
  const list: readonly unknown[] | undefined = secrets === undefined ? [secret] : secrets;
  if ((secret === undefined) === (secrets === undefined) || !Array.isArray(list) || list.length === 0) {
    throw new TypeError(
      "HTTP endpoint: give one of secret: 'whsec_...' and secrets: ['whsec_...', ...]: is the environment variable set?",
    );
  }
  return list.map((each) => {
    const key = typeof each === 'string' ? standardKey(`whsec_${each.replace(/^whsec_/, '')}`) : undefined;
    if (key === undefined) {
      throw new TypeError(
        'HTTP endpoint: a secret must be whsec_ and the base64 of 24 to 64 bytes: make one with openssl rand -base64 32',
      );
    }
    return key;
  });
}

/** Encodes ids that a header cannot carry: an event id may have any characters except control characters. */
function headerValueOf(id: string): string {
  return /^[!-~]+$/.test(id) ? id : encodeURIComponent(id);
}
