import type { Delivery } from '../contracts/delivery.js';
import type { Sink } from '../contracts/sink.js';
import { eventFormat } from '../providers/index.js';
import { vast, vastTypeInfo } from '../providers/vast.js';
import { anything, checkOptions } from '../util/check-options.js';
import { happenedAt } from './happened-at.js';
import { type HttpSinkOptions, httpSinkChecks, poster } from './post.js';
import { cut, oneLine } from './text.js';

/** What `pagerDuty` takes beside the key. */
export interface PagerDutyOptions extends HttpSinkOptions {
  /** Where events go: `https://events.eu.pagerduty.com/v2/enqueue` for an account in the EU. */
  readonly url?: string;
}

/**
 * Triggers and resolves alerts at PagerDuty (Events API v2). `instance_online` resolves what `instance_offline` of
 * the same instance triggered, and `new_end_date` resolves `near_end_date`. Everything else triggers and is resolved by
 * hand, `outbid` too, so narrow it with `when`. The instance or machine is read from the text; where that names none,
 * or several, the event is an alert of its own and nothing is resolved.
 * Throws a `TypeError` for a key, a URL or an option that nobody can have meant.
 */
export function pagerDuty<Event extends object>(routingKey: string, options: PagerDutyOptions = {}): Sink<Event> {
  checkOptions(options, { ...httpSinkChecks, url: anything }, 'PagerDuty');
  const { name = 'pagerDuty', url = 'https://events.pagerduty.com/v2/enqueue' } = options;
  if (typeof routingKey !== 'string' || !/^[\w-]+$/.test(routingKey)) {
    throw new TypeError(
      "PagerDuty: the routing key must be an Events API v2 integration's key: is the environment variable set?",
    );
  }
  const post = poster('PagerDuty', url, options, {
    isRefusal: ({ status }) => typeof status === 'string' && status !== 'success',
  });
  return {
    name,
    async deliver(event, context) {
      await post(JSON.stringify({ routing_key: routingKey, ...alertOf(event, context.delivery) }), context);
    },
  };
}

// Source: developer.pagerduty.com, PD-CEF and Events API v2, which takes 512 KB in all.
const maxSummary = 1_024;
const maxType = 255;
const maxMessage = 10_000;

/**
 * The type whose alert each of these resolves, because it proves its end. Nothing proves the end of `outbid`: an
 * instance is reported as started or resumed at the old price, seconds after it was outbid.
 */
const resolves: Readonly<Record<string, string>> = {
  instance_online: 'instance_offline',
  new_end_date: 'near_end_date',
};

function alertOf(event: object, delivery: Delivery): object {
  const { subject, message, type, severity, url } = eventFormat(delivery.provider).summarize(event);
  const isVast = delivery.provider === vast.name;
  const subjectOfIt = isVast ? affected(`${subject}\n${message}`, isHosts(type, delivery)) : undefined;
  const resolved = isVast && Object.hasOwn(resolves, type) ? resolves[type] : undefined;
  if (subjectOfIt !== undefined && resolved !== undefined) {
    return { event_action: 'resolve', dedup_key: keyOf(resolved, subjectOfIt) };
  }
  return {
    event_action: 'trigger',
    dedup_key: subjectOfIt === undefined ? delivery.id : keyOf(type, subjectOfIt),
    payload: {
      summary: cut(oneLine(subject) || oneLine(type) || 'Notification', maxSummary),
      source: subjectOfIt ?? new URL(url).hostname,
      // The provider's words are PagerDuty's.
      severity,
      timestamp: happenedAt(event, delivery),
      class: cut(oneLine(type), maxType),
      custom_details: { message: cut(message.trim(), maxMessage), event_id: delivery.id },
    },
    links: [{ href: url, text: 'Open the console' }],
  };
}

function isHosts(type: string, { webhook }: Delivery): boolean {
  const { contexts = [] } = vastTypeInfo(type) ?? {};
  return webhook === 'host' || (contexts.length === 1 && contexts[0] === 'host');
}

/** What an event is about: `instance 48927380` or `machine 46110`. Undefined where the text names none, or several. */
function affected(text: string, isHosts: boolean): string | undefined {
  const instances = [...idsIn(text, /\binstance:?\s+(?:id:?\s+)?#?(\d{1,20})\b/gi)];
  const machines = [...idsIn(text, /\bmachine:?\s+(?:id:?\s+)?#?(\d{1,20})\b/gi)];
  // Four digits at least: `GPU #3` is neither.
  const others = [...idsIn(text, /#(\d{4,20})\b/g)].filter((id) => !machines.includes(id));
  const found = { instance: instances.length > 0 ? instances : others, machine: machines };
  const order = isHosts ? (['machine', 'instance'] as const) : (['instance', 'machine'] as const);
  const kind = order.find((each) => found[each].length > 0);
  return kind !== undefined && found[kind].length === 1 ? `${kind} ${found[kind][0]}` : undefined;
}

function idsIn(text: string, pattern: RegExp): Set<string> {
  return new Set([...text.matchAll(pattern)].map(([, id]) => id as string));
}

/** Below the 255 characters of a key, since both parts are short. */
function keyOf(type: string, subject: string): string {
  return `vast:${cut(type, 100)}:${subject.replace(' ', ':')}`;
}
