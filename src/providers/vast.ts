import { defineProvider } from './define-provider.js';
import { jsonOf, type Severity, shown } from './provider.js';
import { timestampedHmac } from './timestamped-hmac.js';

/** Who a notification is for: renters (`client`) or hosts (`host`). */
export type VastContext = 'client' | 'host';
/** Topic of a notification. */
export type VastTopic = 'account' | 'billing' | 'instances' | 'machines' | 'test';

/** Facts about a notification type. */
export interface VastTypeInfo {
  /** Who it is for: renters, hosts, or both. The slug alone does not say. */
  readonly contexts: readonly VastContext[];
  /** Its topic. Chosen by this package. */
  readonly topic: VastTopic;
  /** How serious it is. Chosen by this package. */
  readonly severity: Severity;
  /** Path of the console's page where people can act on it. */
  readonly link: '/' | '/billing/' | '/instances/' | '/host/machines/';
}

/** The console that messages link to. */
export const vastConsole = 'https://cloud.vast.ai';

const client = ['client'] as const;
const host = ['host'] as const;
const both = ['client', 'host'] as const;
const none = [] as const;

/**
 * The known notification types, by the slug in `notif_type`. The list grows, so unknown slugs are normal.
 * Slugs: the live list of 2026-08-27. Links: the Slack and Google Chat adapter guides on docs.vast.ai.
 * The severities are chosen by this package.
 */
export const vastTypes = {
  machine_offline: { contexts: host, topic: 'machines', severity: 'critical', link: '/host/machines/' },
  machine_unverified: { contexts: host, topic: 'machines', severity: 'warning', link: '/' },
  machine_error: { contexts: host, topic: 'machines', severity: 'error', link: '/host/machines/' },
  receive_reports: { contexts: host, topic: 'machines', severity: 'warning', link: '/' },
  maintenance_scheduled: { contexts: host, topic: 'machines', severity: 'info', link: '/host/machines/' },
  instance_created: { contexts: client, topic: 'instances', severity: 'info', link: '/instances/' },
  instance_started: { contexts: client, topic: 'instances', severity: 'info', link: '/instances/' },
  instance_stopped: { contexts: client, topic: 'instances', severity: 'warning', link: '/instances/' },
  instance_resumed: { contexts: client, topic: 'instances', severity: 'info', link: '/instances/' },
  instance_deleted: { contexts: client, topic: 'instances', severity: 'warning', link: '/instances/' },
  instance_offline: { contexts: client, topic: 'instances', severity: 'error', link: '/instances/' },
  instance_online: { contexts: client, topic: 'instances', severity: 'info', link: '/instances/' },
  outbid: { contexts: client, topic: 'instances', severity: 'error', link: '/instances/' },
  machine_maintenance: { contexts: client, topic: 'instances', severity: 'warning', link: '/' },
  upcoming_downtime: { contexts: client, topic: 'instances', severity: 'warning', link: '/instances/' },
  error_msgs: { contexts: client, topic: 'instances', severity: 'error', link: '/' },
  storage_full: { contexts: client, topic: 'instances', severity: 'error', link: '/' },
  idle_gpu: { contexts: client, topic: 'instances', severity: 'warning', link: '/' },
  new_end_date: { contexts: client, topic: 'instances', severity: 'info', link: '/' },
  low_disk_space: { contexts: both, topic: 'machines', severity: 'warning', link: '/' },
  near_end_date: { contexts: both, topic: 'machines', severity: 'warning', link: '/' },
  low_credit: { contexts: client, topic: 'billing', severity: 'error', link: '/billing/' },
  payment_receipt: { contexts: client, topic: 'billing', severity: 'info', link: '/billing/' },
  credit_received: { contexts: client, topic: 'billing', severity: 'info', link: '/' },
  billing_failed: { contexts: client, topic: 'billing', severity: 'critical', link: '/billing/' },
  email_verification: { contexts: client, topic: 'account', severity: 'warning', link: '/' },
  password_reset: { contexts: client, topic: 'account', severity: 'warning', link: '/' },
  email_change: { contexts: client, topic: 'account', severity: 'warning', link: '/' },
  team_invitation: { contexts: client, topic: 'account', severity: 'info', link: '/' },
  webhook_test: { contexts: none, topic: 'test', severity: 'info', link: '/' },
} as const satisfies Record<string, VastTypeInfo>;

/** A notification type that this version knows. */
export type VastType = keyof typeof vastTypes;

interface VastFields {
  /** Event id, the same for all retries. Deliveries are deduplicated by it. */
  readonly event_id: string;
  /** The Vast.ai account. */
  readonly user_id: number;
  /** Text for people. Its wording changes without notice. */
  readonly subject: string;
  /** Text for people, possibly of several lines. Its wording changes without notice. */
  readonly message: string;
  /** When the event happened, in Unix seconds with a fraction. */
  readonly timestamp: number;
}

/** An event of one known type. */
export interface VastEventOf<Type extends VastType> extends VastFields {
  /** The slug, without its `client:` or `host:`. */
  readonly notif_type: Type;
}

/** An event of a type that this version does not know, or that your code does not check. */
export interface UnknownVastEvent extends VastFields {
  /** The slug, without its `client:` or `host:`. Any string. */
  readonly notif_type: string;
  readonly [field: string]: unknown;
}

/** The payload of a notification, as sent. Source: docs.vast.ai, notification webhooks. */
export type VastEvent = { [Type in VastType]: VastEventOf<Type> }[VastType] | UnknownVastEvent;

/** Facts about a type. Undefined if this version does not know the type. */
export function vastTypeInfo(type: string): VastTypeInfo | undefined {
  return Object.hasOwn(vastTypes, type) ? vastTypes[type as VastType] : undefined;
}

function linkOf(type: string): string {
  return vastTypeInfo(type)?.link ?? (type.startsWith('instance_') ? '/instances/' : '/');
}

export const vast = defineProvider({
  name: 'vast',
  path: '/vast/webhooks',
  scheme: timestampedHmac({
    headers: {
      signature: 'x-vast-signature-256',
      timestamp: 'x-vast-timestamp',
      attempt: 'x-vast-delivery-attempt',
    },
  }),
  idOf: (event: VastEvent) => event.event_id,
  typeOf: (event) => event.notif_type,
  summarize(event) {
    const type = shown(event.notif_type);
    return {
      subject: shown(event.subject),
      // If the field is missing or was renamed, show the whole event and not an empty alert.
      message: shown(event.message).trim() || jsonOf(event),
      type,
      severity: vastTypeInfo(type)?.severity,
      url: vastConsole + linkOf(type),
    };
  },
});
