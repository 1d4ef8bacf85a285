import { vastTypeInfo } from './vast.js';

/** Facts about the subject of an event. A fact that is not certain is absent. */
export interface VastDetails {
  /** The instance. */
  readonly instanceId?: number;
  /** The machine that it runs on, or the machine of a host. */
  readonly machineId?: number;
  /** The account's own bid, in dollars an hour. Texts round it to cents. */
  readonly bid?: number;
  /** The bid to beat, in dollars an hour. Texts round it to cents. */
  readonly minBid?: number;
}

/** Details of an event. Null for a fact of which its texts name several values. */
export type NamedDetails = { readonly [Fact in keyof VastDetails]?: number | null };

type Facts = { -readonly [Fact in keyof NamedDetails]: NamedDetails[Fact] };

/**
 * The instance, the machine and the prices that a Vast.ai event names. From its `associated_id`, which events of the
 * notification inbox have, or else from its subject and message, which are texts for people: their wording changes
 * without notice. A fact of which the texts name two values, or none for certain, is absent.
 * For people and for a first look: before you act on it, ask the API (`vastApi` of `vast-webhook/api`).
 * Source of the texts: deliveries recorded in kingofsunnyvale/interruptible-runner.
 *
 * @example
 * detailsOf(event); // { instanceId: 48927380, machineId: 46110, bid: 0.03, minBid: 0.06 }
 */
export function detailsOf(event: object): VastDetails {
  const certain = Object.entries(namedBy(event)).filter(([, value]) => value !== null);
  return Object.fromEntries(certain);
}

/** The same, including which facts have several values. */
export function namedBy(event: object): NamedDetails {
  const { notif_type: type, subject, message, associated_id: associated } = Object(event) as Record<string, unknown>;
  const facts = structured(Object(associated));
  const inTexts: Facts = {};
  for (const text of [subject, message]) {
    if (typeof text !== 'string') continue;
    readIds(text, inTexts);
    readPrices(text, inTexts);
  }
  if (isAboutInstance(type) && inTexts.instanceId === undefined) {
    for (const text of [subject, message]) if (typeof text === 'string') readBareIds(text, inTexts);
  }
  return { ...inTexts, ...facts };
}

/** Adds a value of a fact. Two different ones make it uncertain. */
function add(facts: Facts, fact: keyof VastDetails, value: number | null): void {
  const before = facts[fact];
  facts[fact] = before === undefined || before === value ? value : null;
}

function structured({ instance_id, machine_id, your_bid, new_min_bid }: Record<string, unknown>): Facts {
  const facts: Facts = {};
  for (const [fact, value] of [
    ['instanceId', instance_id],
    ['machineId', machine_id],
  ] as const) {
    const id = typeof value === 'string' && /^[1-9]\d{0,14}$/.test(value) ? Number(value) : value;
    if (Number.isSafeInteger(id) && (id as number) > 0) facts[fact] = id as number;
  }
  for (const [fact, value] of [
    ['bid', your_bid],
    ['minBid', new_min_bid],
  ] as const) {
    const price = typeof value === 'string' && /^\d{1,5}(?:\.\d{1,15})?$/.test(value) ? Number(value) : value;
    if (Number.isFinite(price) && (price as number) > 0) facts[fact] = price as number;
  }
  return facts;
}

// Each quantifier has a bound, so that a pattern takes a bounded number of steps at each place of a text.

/** `Instance #48927380`, `machine: 46110`, `instance id 48927380`. Not the tag of an image (`vastai/machine:1234`). */
const namedId =
  /(?<![\w/.@-])(instance|machine)(s?)(?:[\s_-]{0,3}(id|number|no\.?)(?![a-z]))?([\s:=#([]{1,4})([1-9]\d{0,14})(?![\w%]|[.,:/-]\d)/gi;
/** `#48927380` behind no word: `ticket #48927380` is no instance. At least four digits, because `GPU #3` is none. */
const bareId = /(?<![\p{L}\p{N}_]\s{0,3})#([1-9]\d{3,14})(?![\w%]|[.,:/-]\d)/gu;
/** Behind an id: another one, or the number of others. */
const anotherId =
  /(\s{0,2}[,;/+]\s{0,2}(?:and\s|or\s)?|\s{1,2}(?:and|or|to|&)\s{1,2})(#?)(\d{1,15})(?!\w|[.:-]\d)(\s(?:more|others?)\b)?/iy;
/** Behind a number: it counts something. */
const unit = /\s?(?:%|×|(?:x|GPU|CPU|core|[KMGT]i?B|hr|hour|minute|min|day|week|time)s?\b)/iy;

/** Fewer digits are an id only where the text says so. */
const leastDigits = 4;

function readIds(text: string, facts: Facts): void {
  for (const match of text.matchAll(namedId)) {
    const [found, kind = '', plural, label, separator = '', digits = ''] = match;
    const end = match.index + found.length;
    const isMarked = label !== undefined || /[#:=]/.test(separator);
    if (!isMarked && digits.length < leastDigits && (plural || matchAt(unit, text, end))) continue;
    const fact = kind.toLowerCase() === 'instance' ? 'instanceId' : 'machineId';
    // `instance 2 of 5` counts instances.
    if (!isMarked && /^\s?of\s\d/.test(text.slice(end, end + 6))) continue;
    add(facts, fact, Number(digits));
    // A plural says that there are others, whatever separates them.
    if (plural) add(facts, fact, null);
    const another = matchAt(anotherId, text, end);
    if (!another || matchAt(unit, text, end + another[0].length)) continue;
    const [, joint = '', mark, more = '', others] = another;
    if (others) add(facts, fact, null);
    else if (mark || more.length >= leastDigits || /[a-z&]/i.test(joint)) add(facts, fact, Number(more));
  }
}

function readBareIds(text: string, facts: Facts): void {
  for (const [, digits] of text.matchAll(bareId)) {
    const id = Number(digits);
    if (id !== facts.machineId) add(facts, 'instanceId', id);
  }
}

function isAboutInstance(type: unknown): boolean {
  return typeof type === 'string' && (vastTypeInfo(type)?.topic === 'instances' || type.startsWith('instance_'));
}

/** `Your bid was $0.03/hr`, `minimum bid is now: $0.06 per hour`. Not `raise your bid to $0.07`. */
const namedPrice =
  /\b(?:(min(?:imum|\.)?[\s_]bid)|(?<!\b(?:raise|increase|update|change|set|lower|keep|if|when|unless|once)\s)(?:your\s(?:(?:own|last|current|previous|old)\s)?|you\s)bid)(?:\s(?:price|is|was|of|now|currently|stands|at|has|been)){0,5}\s?:?\s?\$\s?(\d{1,5}(?:\.\d{1,8})?|\.\d{1,8})(?![\w%]|[.,]\d)/gi;
/** Behind a price: no unit, or an hour. */
const anHour =
  /(?!\s?[/\w]|\s?[-–]\s?\$)|\s?\/\s?h(?:r|our)?\b(?!\s?\/)|\s?(?:per|an)\shour\b|\s(?!per\b|an?\b|each\b|or\b|to\b|[/–-])/iy;
/** Behind a price: another unit, or a number of GPUs that it is multiplied by. */
const anotherUnit =
  /[\s,(]{0,3}(?:weekly|monthly|daily|yearly|per\s(?!hour)|×|x\s?\d|(?:usd|dollars?)\s?(?:\/|per\s|an?\s)\s?(?!h))/iy;

function readPrices(text: string, facts: Facts): void {
  for (const match of text.matchAll(namedPrice)) {
    const [found, minimum, digits] = match;
    const price = Number(digits);
    const end = match.index + found.length;
    const isHourly = matchAt(anHour, text, end) && !matchAt(anotherUnit, text, end);
    if (price > 0 && isHourly) add(facts, minimum ? 'minBid' : 'bid', price);
  }
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}
