import type { Delivery } from '../contracts/delivery.js';
import type { Sink } from '../contracts/sink.js';
import { digests } from '../providers/digests.js';
import { vast, vastTypeInfo } from '../providers/vast.js';
import { namedBy } from '../providers/vast-details.js';
import { anything, checkOptions } from '../util/check-options.js';
import { type HttpSinkOptions, httpSinkChecks, poster } from './post.js';
import { checkAddress } from './service-address.js';
import { summaryOf } from './summary.js';
import { cut, oneLine } from './text.js';

/** Options of `pagerDuty`. */
export interface PagerDutyOptions extends HttpSinkOptions {
  /** The endpoint. For an account in the EU: `https://events.eu.pagerduty.com/v2/enqueue`. */
  readonly url?: string;
}

/**
 * Triggers and resolves alerts at PagerDuty (Events API v2). `instance_online` resolves the alert of
 * `instance_offline` for the same instance, and `new_end_date` resolves `near_end_date`. All other types, such as `outbid`, only
 * trigger alerts, which people must resolve. So select types with `when`. The instance or machine is read as
 * `detailsOf` does. If the event names none, or several, the event is an alert of its own and resolves nothing.
 * Throws a `TypeError` for an invalid key, URL or option.
 */
export function pagerDuty<Event extends object>(routingKey: string, options: PagerDutyOptions = {}): Sink<Event> {
  checkOptions(options, { ...httpSinkChecks, url: anything }, 'PagerDuty');
  const { name = 'pagerDuty', url = 'https://events.pagerduty.com/v2/enqueue' } = options;
  if (typeof routingKey !== 'string' || !/^[\w-]+$/.test(routingKey)) {
    throw new TypeError(
      "PagerDuty: the routing key must be an Events API v2 integration's key: is the environment variable set?",
    );
  }
  checkAddress('PagerDuty', url);
  const post = poster('PagerDuty', url, options, {
    isRefusal: ({ status }) => typeof status === 'string' && status !== 'success',
    secrets: [routingKey],
  });
  return {
    name,
    async deliver(event, context) {
      await post(JSON.stringify({ routing_key: routingKey, ...alertOf(event, context.delivery) }), context);
    },
  };
}

// Source: developer.pagerduty.com, PD-CEF and Events API v2. The limit of a whole request is 512 KB.
const maxSummary = 1_024;
const maxType = 255;
const maxMessage = 10_000;

/**
 * The type whose alert each of these resolves, because it proves that the problem has ended. No event proves that for
 * `outbid`: seconds later, the instance may be reported as started or resumed at the old price.
 */
const resolves: Readonly<Record<string, string>> = {
  instance_online: 'instance_offline',
  new_end_date: 'near_end_date',
  sink_recovered: 'sink_failing',
};

function alertOf(event: object, delivery: Delivery): object {
  const { title, text, when, severity, link, type } = summaryOf(event, delivery);
  const isVast = delivery.provider === vast.name;
  const affectedSubject = isVast ? affected(event, isForHost(type, delivery)) : sinkIn(event, delivery);
  const resolved = Object.hasOwn(resolves, type) ? resolves[type] : undefined;
  if (affectedSubject !== undefined && resolved !== undefined) {
    return { event_action: 'resolve', dedup_key: keyOf(resolved, affectedSubject) };
  }
  return {
    event_action: 'trigger',
    dedup_key: affectedSubject === undefined ? delivery.id : keyOf(type, affectedSubject),
    payload: {
      summary: cut(title, maxSummary),
      source: affectedSubject ?? new URL(link).hostname,
      // Our four severities have the names of PagerDuty's.
      severity,
      timestamp: when,
      class: cut(type, maxType),
      custom_details: { message: cut(text, maxMessage), event_id: delivery.id },
    },
    links: [{ href: link, text: 'Open the console' }],
  };
}

/** The sink that an alert of this package is about. */
function sinkIn(event: object, { provider }: Delivery): string | undefined {
  const { sink } = event as { sink?: unknown };
  return provider === digests.name && typeof sink === 'string' ? `sink ${cut(oneLine(sink), 100)}` : undefined;
}

function isForHost(type: string, { webhook }: Delivery): boolean {
  const { contexts = [] } = vastTypeInfo(type) ?? {};
  return webhook === 'host' || (contexts.length === 1 && contexts[0] === 'host');
}

/** The subject of an event: `instance 48927380` or `machine 46110`. Undefined if it names none, or several. */
function affected(event: object, isForHost: boolean): string | undefined {
  const { instanceId: instance, machineId: machine } = namedBy(event);
  const named = { instance, machine };
  const order = isForHost ? (['machine', 'instance'] as const) : (['instance', 'machine'] as const);
  const kind = order.find((each) => named[each] !== undefined);
  return kind !== undefined && named[kind] !== null ? `${kind} ${named[kind]}` : undefined;
}

/** Stays below the limit of 255 characters, because both parts are short. */
function keyOf(type: string, subject: string): string {
  return `vast:${cut(type, 100)}:${subject.replace(' ', ':')}`;
}
