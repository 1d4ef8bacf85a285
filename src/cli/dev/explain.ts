import type { NamedSecret } from '../secrets/candidates.js';
import { type Diagnosis, diagnose } from '../verify/diagnose.js';
import type { LoggedDelivery } from './delivery-log.js';

/** Why a delivery was refused, and what to do, in the words of `verify`. */
export type Explanation = Pick<Diagnosis, 'causes' | 'notes'>;

export interface Keys {
  /** The one that is used here, and behind it others that may have been meant. */
  readonly secrets: readonly NamedSecret[];
  readonly apiKey: string | undefined;
}

const toleranceSeconds = 300;

/** Undefined for a delivery that was not refused by its signature, or of which not all is here. */
export function explain(delivery: LoggedDelivery, { secrets, apiKey }: Keys): Explanation | undefined {
  const { status, isCut, body, isBase64, headers, at } = delivery;
  const [first, ...others] = secrets;
  if (![401, 415].includes(status) || isCut || first === undefined) return undefined;
  const capture = {
    headers: joined(headers),
    body: Buffer.from(body, isBase64 ? 'base64' : 'utf8'),
    isParsed: false,
    receivedAt: at,
  };
  try {
    const { verifies, causes, notes } = diagnose({
      capture,
      secrets: [first, ...others],
      apiKey,
      toleranceSeconds,
      nowMs: Date.now(),
    });
    // It was signed with a secret that came later, perhaps.
    return verifies ? undefined : { causes, notes };
  } catch {
    // Anybody may have written it: JSON that is nested too deeply, for example.
    return undefined;
  }
}

function joined(pairs: LoggedDelivery['headers']): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  for (const [name, value] of pairs) {
    const before = headers.get(name.toLowerCase());
    headers.set(name.toLowerCase(), before === undefined ? value : `${before}, ${value}`);
  }
  return headers;
}
