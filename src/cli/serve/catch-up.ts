import type { VastWebhook } from 'vast-webhook';
import { type ApiOptions, vastApi } from 'vast-webhook/api';
import { catchUp, type Gap } from 'vast-webhook/catch-up';
import { CliError } from '../shared/errors.js';
import type { ReceiverLog } from './log.js';

/** The variables' words. Throws a `CliError` for any other. */
export function yesOrNo(name: string, text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined;
  if (/^(1|true|yes|on)$/i.test(text)) return true;
  if (/^(0|false|no|off)$/i.test(text)) return false;
  throw new CliError(`${name} must be yes or no`);
}

/** Begins to catch up with the inbox. Returns a function that ends it, as `hook.close()` does. */
export function startCatchUp(hook: VastWebhook, api: ApiOptions, log: ReceiverLog): () => void {
  const stop = catchUp(hook, { api: vastApi(api), onGap: (gap) => log.note('warn', textOf(gap), fieldsOf(gap)) });
  // What is under way has had its time in `hook.close()`.
  return () => void stop();
}

const reasons = {
  untrusted:
    'no delivery has brought these events of the inbox. They are delivered once an id in the inbox has been seen to equal a delivery',
  window: 'all events in the inbox are new, so others may have dropped off it before anybody saw them',
} as const satisfies Record<Gap['reason'], string>;

function textOf({ reason, rows }: Gap): string {
  return `catching up: ${reasons[reason]}: ${rows.map(({ event_id: id, notif_type: type }) => `${type} ${id}`).join(', ')}`;
}

function fieldsOf({ reason, rows }: Gap) {
  return { gap: reason, event_ids: rows.map(({ event_id: id }) => id) };
}
