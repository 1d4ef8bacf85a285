import type { Choices } from './choices.js';
import type { Fare } from './store.js';

type FaultKind = 'kill' | 'freeze' | 'block' | 'close' | 'forget' | 'step' | 'rotate' | 'cutOff';

/** Something that happens to a process just before a step of it. */
export interface Fault {
  readonly kind: FaultKind;
  readonly slot: number;
  readonly atStep: number;
  readonly ms: number;
}

/** When the store or the sinks are troubled, and how many calls of a hundred are. Milliseconds from the start. */
export interface Trouble {
  readonly from: number;
  readonly to: number;
  readonly percent: number;
  readonly isAway: boolean;
}

export type SinkKind = 'plain' | 'digest' | 'quiet' | 'outbox' | 'queue';

export type SinkFare = 'ok' | 'atOnce' | 'late' | 'veryLate' | 'fails' | 'seemsToFail' | 'throws' | 'hangs';

/** What a world is made of, and what will happen to it. */
export interface Plan {
  /** Processes behind one address. */
  readonly slots: number;
  readonly handoff: boolean;
  /** Whether the handler's answer goes out before the event is settled, as in Express. */
  readonly answersFirst: boolean;
  readonly store: 'memory' | 'model';
  /** Whether calls to the store go by several connections, and so may overtake each other. */
  readonly isPooled: boolean;
  /** Isolates that can lose what they are at, and not what they remember. */
  readonly isolates: boolean;
  /** What becomes of an isolate when its requests, and what they have left behind, are over. */
  readonly rests: 'never' | 'stands still' | 'loses' | 'ends';
  /** Whether the worker behind the queue gathers what it delivers. */
  readonly worksInDigests: boolean;
  /** Endpoints of one process, each with a sender and sinks of its own. */
  readonly receivers: number;
  readonly sinks: readonly SinkKind[];
  readonly windowMs: number;
  readonly secretFunction: boolean;
  readonly events: number;
  readonly faults: readonly Fault[];
  readonly storeTroubles: readonly Trouble[];
  readonly sinkTrouble: number;
  readonly senderTrouble: number;
  /** In place of troubles: what happens to which call, and to which sink. */
  readonly oneCall?: { readonly at: number; readonly fare: Fare };
  readonly oneSink?: { readonly name: string; readonly fare: SinkFare };
  readonly isSmall: boolean;
  /**
   * Whether the processes catch up with an inbox, too: with ids that are trusted, that are to be seen to agree first, or
   * that never agree.
   */
  readonly catchesUp: 'never' | 'trusts' | 'proves' | 'other ids';
  /** How often something may come before what was due a moment earlier. */
  readonly deviations: number;
}

const storeEnds = ['before', 'after', 'lost', 'silent', 'twice', 'ok'] as const;

export function drawPlan(choices: Choices): Plan {
  const handoff = choices.chance(25);
  const isolates = choices.chance(15);
  const rests = isolates ? (['never', 'stands still', 'loses', 'ends'] as const)[choices.pick(4)] : 'never';
  const store = !isolates && choices.chance(15) ? 'memory' : 'model';
  const receivers = !handoff && choices.chance(8) ? 2 : 1;
  const slots = store === 'memory' ? 1 : 1 + choices.pick(3);
  const sinks: SinkKind[] = [];
  if (!handoff) {
    sinks.push('plain');
    const others: SinkKind[] = ['plain', 'plain', 'digest', 'quiet'];
    if (!isolates) others.push('outbox', 'queue');
    for (let more = choices.pick(3); more > 0; more--) sinks.push(others[choices.pick(others.length)] as SinkKind);
  }
  const kinds: FaultKind[] = ['kill', 'freeze', 'block', 'step', 'rotate'];
  kinds.push(...(isolates ? (['cutOff', 'cutOff'] as const) : (['close', 'close'] as const)));
  if (store === 'model') kinds.push('forget');
  const faults: Fault[] = [];
  for (let count = choices.pick(4); count > 0; count--) {
    const kind = kinds[choices.pick(kinds.length)] as FaultKind;
    const ms = kind === 'block' ? 100 + choices.pick(4_000) : 1_000 * (1 + choices.pick(60));
    faults.push({ kind, slot: choices.pick(slots), atStep: 1 + choices.pick(choices.chance(50) ? 30 : 120), ms });
  }
  const storeTroubles: Trouble[] = [];
  for (let count = store === 'memory' ? 0 : choices.pick(3); count > 0; count--) {
    const isLong = choices.chance(10);
    const from = choices.pick(30_000);
    const to = from + (isLong ? 20_000 + choices.pick(60_000) : 200 + choices.pick(12_500));
    if (choices.chance(15)) {
      // As long as a lease outlasts it, and when it is renewed.
      const at = 8_000 + choices.pick(2_500);
      storeTroubles.push({ from: at, to: at + 12_000 + choices.pick(900), percent: 100, isAway: true });
      continue;
    }
    storeTroubles.push({ from, to, percent: 30 + choices.pick(71), isAway: choices.chance(50) });
  }
  // Of a store that forgets with its process nothing is caught up, and an isolate has no timers.
  const canCatchUp = store === 'model' && !handoff && !isolates && choices.chance(40);
  // Rows are ripe after a minute, which is long after the faults above.
  for (let count = canCatchUp ? choices.pick(3) : 0; count > 0; count--) {
    const kind = kinds[choices.pick(kinds.length)] as FaultKind;
    faults.push({
      kind,
      slot: choices.pick(slots),
      atStep: 80 + choices.pick(300),
      ms: 1_000 * (1 + choices.pick(60)),
    });
  }
  return {
    slots,
    handoff,
    answersFirst: choices.chance(60) && !isolates,
    store,
    isPooled: choices.chance(50),
    isolates,
    rests: rests ?? 'never',
    worksInDigests: choices.chance(30),
    receivers,
    sinks,
    windowMs: [2_000, 5_000, 30_000][choices.pick(3)] as number,
    secretFunction: choices.chance(30),
    events: 1 + choices.pick(3),
    faults,
    storeTroubles,
    sinkTrouble: [0, 0, 20, 60][choices.pick(4)] as number,
    senderTrouble: choices.chance(40) ? 30 : 5,
    isSmall: false,
    catchesUp: canCatchUp
      ? ((['trusts', 'trusts', 'proves', 'other ids'] as const)[choices.pick(4)] ?? 'never')
      : 'never',
    deviations: 0,
  };
}

/** One event, two processes, two sinks, one fault of each kind at each step, and each order but for `deviations`. */
export function smallPlan(choices: Choices, deviations = 1): Plan {
  const plan = {
    slots: 2,
    handoff: false,
    answersFirst: false,
    store: 'model',
    isPooled: false,
    isolates: false,
    rests: 'never',
    worksInDigests: false,
    receivers: 1,
    sinks: ['plain', 'plain'],
    windowMs: 2_000,
    secretFunction: false,
    events: 1,
    faults: [],
    storeTroubles: [],
    sinkTrouble: 0,
    senderTrouble: 0,
    isSmall: true,
    catchesUp: 'never',
    deviations,
  } as const;
  const kinds: FaultKind[] = ['kill', 'freeze', 'close', 'forget', 'cutOff'];
  const what = choices.pick(3 + kinds.length);
  if (what === 0) return plan;
  if (what === 1) {
    const end = storeEnds[choices.pick(storeEnds.length)] as Fare['end'];
    // What is neither lost nor fails is slow.
    const fare = { there: 1, back: end === 'ok' ? 5_000 : 1, end };
    return { ...plan, oneCall: { at: choices.pick(12), fare } };
  }
  if (what === 2) {
    const fares: SinkFare[] = ['atOnce', 'late', 'veryLate', 'fails', 'seemsToFail', 'throws', 'hangs'];
    const fare = fares[choices.pick(fares.length)] as SinkFare;
    return { ...plan, oneSink: { name: choices.pick(2) === 0 ? 's0' : 's1', fare } };
  }
  const kind = kinds[what - 3] as FaultKind;
  const fault = { kind, slot: choices.pick(2), atStep: 1 + choices.pick(40), ms: 45_000 };
  return { ...plan, isolates: kind === 'cutOff', faults: [fault] };
}

export function storeFare(choices: Choices, trouble: Trouble | undefined): Fare {
  const there = 0.1 + choices.pick(40) / 10;
  const back = 0.1 + choices.pick(40) / 10;
  if (trouble === undefined || !choices.chance(trouble.percent)) return { there, back, end: 'ok' };
  if (trouble.isAway) return { there, back: back + 100, end: choices.chance(50) ? 'silent' : 'before' };
  const end = storeEnds[choices.pick(storeEnds.length)] as Fare['end'];
  return { there: there + (choices.chance(40) ? choices.pick(5_000) : 0), back: back + choices.pick(3_000), end };
}

export function sinkFare(choices: Choices, percent: number): SinkFare {
  if (choices.chance(percent)) {
    return (['late', 'veryLate', 'fails', 'seemsToFail', 'throws', 'hangs'] as const)[choices.pick(6)] as SinkFare;
  }
  return choices.chance(10) ? 'atOnce' : 'ok';
}
