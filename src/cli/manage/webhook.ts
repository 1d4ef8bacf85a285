import type { ShodaiApiFilters } from 'vast-webhook/api';

/** A webhook, whichever service keeps it. */
export interface Webhook {
  readonly id: string;
  readonly name?: string;
  readonly url: string;
  readonly types: readonly string[];
  /** Whether the service delivers to it. */
  readonly isActive: boolean;
  /** ISO 8601. */
  readonly createdAt?: string;
  /** ISO 8601. */
  readonly updatedAt?: string;
  /** The types that the call has switched on in the account's settings, full keys. */
  readonly enabledTypes?: readonly string[];
  /** The chat that it is limited to. */
  readonly chatId?: string;
  /** What is delivered of its types. */
  readonly filters?: ShodaiApiFilters;
  /** The account that it belongs to, where preferences are kept by account. */
  readonly userId?: number;
}

export interface WebhookType {
  /** As webhooks subscribe to it. */
  readonly key: string;
  readonly title: string;
  readonly topic: string;
}

export interface WebhookInput {
  readonly name?: string;
  readonly url?: string;
  readonly types?: readonly string[];
  /** v0's. */
  readonly chatId?: string;
  /** Shodai's. */
  readonly filters?: ShodaiApiFilters;
}

/** What the subcommands do with a service. The calls reject with a `CliError`, an `ApiError` or a `TypeError`. */
export interface Manager {
  /** As the service has them now, or as this version knows them. */
  types(): Promise<readonly WebhookType[]>;
  list(): Promise<readonly Webhook[]>;
  create(
    input: WebhookInput & { readonly url: string },
  ): Promise<{ readonly webhook: Webhook; readonly secret?: string }>;
  update(id: string, changes: WebhookInput): Promise<Webhook>;
  delete(id: string): Promise<void>;
  rotateSecret(id: string): Promise<string>;
  /** Resolves with what the service says when the endpoint took the test event. */
  test(id: string): Promise<string>;
  /** The subscribed types of which the account's preferences hold the deliveries back. */
  mutedTypes(webhook: Webhook): Promise<readonly string[]>;
}
