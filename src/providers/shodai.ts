import { defineProvider } from './define-provider.js';
import { text } from './provider.js';
import { timestampedHmac } from './timestamped-hmac.js';

interface ShodaiFields {
  /** Event id: signed, and the same for all retries. Deliveries are deduplicated by it. */
  readonly id: string;
  /** These types describe `2026-06-01`. Events of other versions are accepted, too. */
  readonly apiVersion: string;
  /** ISO 8601. */
  readonly createdAt: string;
}

interface ShodaiAgreement {
  readonly agreementId: string;
  readonly agreementName?: string;
  readonly templateId: string;
}

/** Form of `data`, by type. Source: CNSLabs/agreements-api-sdk, webhooks.ts. */
interface ShodaiData {
  'webhook.test': Readonly<Record<string, unknown>>;
  'agreement.transitioned': ShodaiAgreement & {
    /** Empty for the first transition of an agreement. */
    readonly fromState: string;
    readonly toState: string;
    readonly inputId: string;
  };
  'agreement.notification.triggered': ShodaiAgreement & {
    readonly notificationTemplateId: string;
    readonly ruleId: string;
    readonly triggerType: 'onTransition' | 'temporal';
    readonly recipient: unknown;
    readonly notification: {
      readonly subject: string;
      readonly title?: string;
      readonly body: string;
      readonly ctaLabel?: string;
    };
    readonly variables?: Readonly<Record<string, unknown>>;
    readonly transition?: {
      readonly fromState: string;
      readonly toState: string;
      readonly inputId: string;
      readonly occurredAt: string;
    };
  };
}

/** An event type that this version knows. */
export type ShodaiType = keyof ShodaiData;

/** An event of one known type. */
export interface ShodaiEventOf<Type extends ShodaiType> extends ShodaiFields {
  /** The event type. */
  readonly type: Type;
  /** Details of the event. */
  readonly data: ShodaiData[Type];
}

/** An event of a type that this version does not know, or that your code does not check. */
export interface UnknownShodaiEvent extends ShodaiFields {
  /** The event type. */
  readonly type: string;
  /** Details of the event, in any form. */
  readonly data: unknown;
  readonly [field: string]: unknown;
}

/** The payload of a delivery, as sent. Source: docs.shodai.network. */
export type ShodaiEvent = { [Type in ShodaiType]: ShodaiEventOf<Type> }[ShodaiType] | UnknownShodaiEvent;

export const shodai = defineProvider({
  name: 'shodai',
  path: '/shodai/webhooks',
  scheme: timestampedHmac({
    headers: {
      signature: 'x-shodai-webhook-signature',
      timestamp: 'x-shodai-webhook-timestamp',
      id: 'x-shodai-webhook-id',
    },
  }),
  idOf: (event: ShodaiEvent) => event.id,
  typeOf: (event) => event.type,
  summarize: (event, type) => ({ ...textsOf(type, Object(event.data)), url: 'https://docs.shodai.network/' }),
});

function textsOf(type: string, data: Readonly<Record<string, unknown>>): { subject: string; message: string } {
  const agreement = text(data.agreementName) || text(data.agreementId);
  if (type === 'agreement.notification.triggered') {
    const { subject, title, body } = Object(data.notification) as Record<string, unknown>;
    return { subject: text(subject) || text(title) || agreement, message: text(body) };
  }
  if (type === 'agreement.transitioned') {
    const from = text(data.fromState);
    return {
      subject: `Agreement ${agreement}: ${from === '' ? '' : `${from} → `}${text(data.toState)}`,
      message: `Input ${text(data.inputId)}, template ${text(data.templateId)}`,
    };
  }
  return { subject: type === 'webhook.test' ? 'Shodai webhook test' : type, message: agreement };
}
