import { randomUUID } from 'node:crypto';
import type { IdempotencyStore } from 'vast-webhook';
import { ApiError, type VastApi, type VastApiInbox, type VastApiNotification } from 'vast-webhook/api';
import { catchUpState } from 'vast-webhook/catch-up';
import { toError } from '../shared/errors.js';
import { type Finding, ok, problem, skipped } from './finding.js';

/** A webhook has brought an event by then. */
const ripeSeconds = 60;
/** A completed event is remembered for seven days. */
const rememberedSeconds = 6 * 24 * 60 * 60;
const lookMs = 1_000;
/** As long as the store keeps what sinks have had of an event. */
const keepMs = 7 * 24 * 60 * 60_000;

/** Compares the inbox with what is completed in the store of `serve`. `types` are those of the webhook, full keys. */
export async function judgeInbox(
  api: Pick<VastApi, 'inbox'>,
  store: IdempotencyStore,
  types: readonly string[],
  signal: AbortSignal,
): Promise<Finding> {
  let inbox: VastApiInbox;
  try {
    inbox = await api.inbox({ signal });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const { status, message } = error;
    const reason = status === 404 ? 'Vast.ai has no notification inbox at present' : message.replace(/\.$/, '');
    return skipped('inbox', `${reason}, so nothing can be caught up`);
  }
  try {
    return await compare(inbox, store, types);
  } catch (error) {
    return skipped('inbox', `the store cannot be asked: ${toError(error).message}`);
  }
}

async function compare(
  { notifications, date = Date.now() / 1000 }: VastApiInbox,
  store: IdempotencyStore,
  types: readonly string[],
): Promise<Finding> {
  const rows = notifications.filter(
    ({ event_id: id, created_at: at }) =>
      at <= date - ripeSeconds && at > date - rememberedSeconds && /^[\x20-\x7e]{1,255}$/.test(id),
  );
  const absent: VastApiNotification[] = [];
  for (const row of rows) if (!(await hasArrived(store, row))) absent.push(row);
  const state = await catchUpState(store);
  const ids = state?.idsAgree
    ? 'ids have been seen to agree with those of deliveries'
    : 'no id has been seen to agree with that of a delivery yet';
  const missed = absent.filter((row) => types.includes(`${row.user_context}:${row.notif_type}`));
  const others = absent.length - missed.length;
  const unsent =
    others === 0 ? '' : `; ${others} that did not arrive are of types that the webhook does not subscribe to`;
  if (missed.length === 0)
    return ok('inbox', `${rows.length} events, ${rows.length - absent.length} of them arrived${unsent}; ${ids}`);
  return problem(
    'inbox',
    `of ${rows.length} events did not arrive: ${missed.map(shown).join(', ')}${unsent}; ${ids}`,
    'vast-webhook serve --catch-up delivers what comes after its first run',
  );
}

function shown({ notif_type: type, event_id: id, created_at: at }: VastApiNotification): string {
  return `${type} ${id} (${new Date(at * 1_000).toISOString()})`;
}

/** An event at work counts as arrived. Nothing but a claim tells, which is released at once. */
async function hasArrived(store: IdempotencyStore, { event_id: id }: VastApiNotification): Promise<boolean> {
  const key = `receiver:vast:${id}`;
  const token = randomUUID();
  const { state } = await store.claim(key, token, lookMs);
  if (state !== 'acquired') return true;
  await store.release(key, token, keepMs);
  return false;
}
