/** What each of the three entries has beside its `webhook`. */
export type {
  Delivery,
  ReceivedFrom,
  UnverifiedDelivery as Unverified,
  VerifiedDelivery as Verified,
} from '../contracts/delivery.js';
export type { WebhookOptions } from '../options.js';
export { type BodyHmacOptions, bodyHmac } from '../providers/body-hmac.js';
export { defineProvider, type ProviderDefinition, type ProviderSummary } from '../providers/define-provider.js';
export type { Provider, SenderHeaders, Severity, Summary } from '../providers/provider.js';
export type { Scheme } from '../providers/scheme.js';
export { type StandardWebhooksOptions, standardWebhooks } from '../providers/standard-webhooks.js';
export { type TimestampedHmacOptions, timestampedHmac } from '../providers/timestamped-hmac.js';
export { type UrlTokenOptions, urlToken } from '../providers/url-token.js';
export type { Secret, SecretList } from '../receive/secrets.js';
