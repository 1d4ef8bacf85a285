import { jsonOf, type Severity, type SigningProvider, shown } from './provider.js';

/** Whom a notification is for: who rents (`client`) or who hosts (`host`). */
export type VastContext = 'client' | 'host';
/** What a notification is about. */
export type VastTopic = 'account' | 'billing' | 'instances' | 'machines' | 'test';

/** What is known of a notification type. */
export interface VastTypeInfo {
  /** Who it is for: those who rent, those who host, or both. The slug alone does not tell. */
  readonly contexts: readonly VastContext[];
  /** What it is about. This package's own. */
  readonly topic: VastTopic;
  /** How bad it is. This package's own. */
  readonly severity: Severity;
  /** Path below the console where one can act on it. */
  readonly link: '/' | '/billing/' | '/instances/' | '/host/machines/';
}

/** What messages link to. */
export const vastConsole = 'https://cloud.vast.ai';

const client = ['client'] as const;
const host = ['host'] as const;
const both = ['client', 'host'] as const;
const none = [] as const;

/**
 * The notification types known, by the slug that `notif_type` carries. The list grows: an unknown slug is normal.
 * Slugs: the live list of 2026-08-27. Links: the Slack and Google Chat adapter guides on docs.vast.ai.
 * Severities are this package's own.
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
  /** Stable over retries: what deliveries are deduplicated by. */
  readonly event_id: string;
  /** The Vast.ai account. */
  readonly user_id: number;
  /** Text for people, whose wording changes without notice. */
  readonly subject: string;
  /** Text for people, several lines it may be, whose wording changes without notice, too. */
  readonly message: string;
  /** When it happened, in Unix seconds with a fraction. */
  readonly timestamp: number;
}

/** An event of one catalogued type. */
export interface VastEventOf<Type extends VastType> extends VastFields {
  /** The slug, without its `client:` or `host:`. */
  readonly notif_type: Type;
}

/** An event of a type that this version does not know, or that it does not look at. */
export interface UnknownVastEvent extends VastFields {
  /** The slug, without its `client:` or `host:`. Any string. */
  readonly notif_type: string;
  readonly [field: string]: unknown;
}

/** The payload of a notification, as sent. Source: docs.vast.ai, notification webhooks. */
export type VastEvent = { [Type in VastType]: VastEventOf<Type> }[VastType] | UnknownVastEvent;

/** What is known of a type; undefined for one that this version does not know. */
export function vastTypeInfo(type: string): VastTypeInfo | undefined {
  return Object.hasOwn(vastTypes, type) ? vastTypes[type as VastType] : undefined;
}

function linkOf(type: string): string {
  return vastTypeInfo(type)?.link ?? (type.startsWith('instance_') ? '/instances/' : '/');
}

export const vast = {
  name: 'vast',
  path: '/vast/webhooks',
  headers: {
    signature: 'x-vast-signature-256',
    timestamp: 'x-vast-timestamp',
    attempt: 'x-vast-delivery-attempt',
  },
  // 0 is no id, as in Python: unrelated events would be one.
  idOf: ({ event_id: id }: { event_id: unknown }) => (Number.isSafeInteger(id) && id !== 0 ? String(id) : id),
  typeOf: (event) => event.notif_type,
  summarize(event) {
    const type = shown(event.notif_type);
    return {
      subject: shown(event.subject),
      // A field that is missing, or was renamed, must not make an empty alert.
      message: shown(event.message).trim() || jsonOf(event),
      type,
      severity: vastTypeInfo(type)?.severity ?? 'info',
      url: vastConsole + linkOf(type),
    };
  },
} satisfies SigningProvider<VastEvent>;
