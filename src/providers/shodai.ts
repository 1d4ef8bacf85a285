import { type SigningProvider, text } from './provider.js';

interface ShodaiFields {
  /** Signed, and stable over retries: what deliveries are deduplicated by. */
  readonly id: string;
  /** `2026-06-01` in the version that these types are of. Others come through. */
  readonly apiVersion: string;
  /** ISO 8601. */
  readonly createdAt: string;
}

interface ShodaiAgreement {
  readonly agreementId: string;
  readonly agreementName?: string;
  readonly templateId: string;
}

/** What `data` holds, by type. Source: CNSLabs/agreements-api-sdk, webhooks.ts. */
interface ShodaiData {
  'webhook.test': Readonly<Record<string, unknown>>;
  'agreement.transitioned': ShodaiAgreement & {
    /** Empty where the agreement begins. */
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
  /** What has happened. */
  readonly type: Type;
  /** What is known of it. */
  readonly data: ShodaiData[Type];
}

/** An event of a type that this version does not know, or that it does not look at. */
export interface UnknownShodaiEvent extends ShodaiFields {
  /** What has happened. */
  readonly type: string;
  /** What is known of it, in whatever form. */
  readonly data: unknown;
  readonly [field: string]: unknown;
}

/** The payload of a delivery, as sent. Source: docs.shodai.network. */
export type ShodaiEvent = { [Type in ShodaiType]: ShodaiEventOf<Type> }[ShodaiType] | UnknownShodaiEvent;

export const shodai: SigningProvider<ShodaiEvent> = {
  name: 'shodai',
  path: '/shodai/webhooks',
  headers: {
    signature: 'x-shodai-webhook-signature',
    timestamp: 'x-shodai-webhook-timestamp',
    id: 'x-shodai-webhook-id',
  },
  idOf: (event) => event.id,
  typeOf: (event) => event.type,
  summarize(event) {
    const type = text(event.type);
    return { ...textsOf(type, Object(event.data)), type, severity: 'info', url: 'https://docs.shodai.network/' };
  },
};

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
