import { setTimeout as sleep } from 'node:timers/promises';
import type { SqliteDatabase } from 'vast-webhook/stores';
import { toError } from '../shared/errors.js';

/** Why no delivery can be taken at the moment. */
export interface Unready {
  /** As the middleware answers then. */
  readonly code: 'store_unavailable' | 'outbox_unavailable' | 'closing';
  readonly reason: string;
}

type Check = () => unknown;

/** Each question costs a write, and probes of several load balancers must not add up. */
const everyMs = 1_000;

/**
 * Whether the store and the outbox can be used, asked at most once a second. A check that rejects, or has not resolved
 * within `timeoutMs`, has failed.
 */
export function readiness(
  checks: Readonly<Partial<Record<Unready['code'], Check>>>,
  timeoutMs: number,
): () => Promise<Unready | undefined> {
  let askedAt = Number.NEGATIVE_INFINITY;
  let answer: Promise<Unready | undefined> | undefined;
  let isPending = false;
  const ask = async () => {
    isPending = true;
    const failures = Object.entries(checks).map(([code, check]) =>
      failureOf(code as Unready['code'], check, timeoutMs),
    );
    const [failure] = (await Promise.all(failures)).filter((each) => each !== undefined);
    isPending = false;
    return failure;
  };
  return () => {
    const now = performance.now();
    if (answer !== undefined && (isPending || now - askedAt < everyMs)) return answer;
    askedAt = now;
    answer = ask();
    return answer;
  };
}

async function failureOf(code: Unready['code'], check: Check, timeoutMs: number): Promise<Unready | undefined> {
  const over = new AbortController();
  const late = sleep(timeoutMs, undefined, { signal: over.signal }).then(() => {
    throw new Error(`no answer within ${timeoutMs} ms`);
  });
  try {
    await Promise.race([(async () => check())(), late]);
    return undefined;
  } catch (error) {
    return { code, reason: toError(error).message };
  } finally {
    late.catch(() => {});
    over.abort();
  }
}

/**
 * Throws unless the file can be written to: it may be locked, the disk full, or the file system read-only. Only a commit
 * shows that, so it writes what stands there already.
 */
export function checkWritable(db: SqliteDatabase): void {
  db.exec('BEGIN IMMEDIATE');
  try {
    const [version] = Object.values(db.prepare('PRAGMA user_version').get() as object);
    db.exec(`PRAGMA user_version = ${Number(version)}`);
    db.exec('COMMIT');
  } catch (error) {
    try {
      db.exec('ROLLBACK');
    } catch {
      // After some errors, such as a full disk, SQLite has already rolled back.
    }
    throw error;
  }
}
