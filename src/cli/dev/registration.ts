import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, type VastApi } from 'vast-webhook/api';
import { services } from '../manage/services.js';
import { marksIn } from '../secrets/env-file.js';
import { listVariable, secretVariable } from '../secrets/flags.js';
import { askForSecret, openSecretTarget } from '../secrets/write.js';
import type { CliContext } from '../shared/context.js';
import { CliError } from '../shared/errors.js';
import { readEnvText } from '../shared/settings.js';

/** The webhook at Vast.ai that leads to this receiver. */
export interface Registration {
  readonly id: number;
  /** Undefined when the service has it and nobody here. */
  readonly secret: string | undefined;
}

export interface Wanted {
  readonly name: string;
  readonly url: string;
  /** What was asked for: keys, slugs, patterns. Undefined: all, or whatever the webhook has. */
  readonly types: readonly string[] | undefined;
}

type Setting = (name: string) => string | undefined;
type Note = (level: 'info' | 'warn' | 'error', message: string) => void;

const service = services.vast.title;
const mainEntry = secretVariable;
const ownEntry = 'VAST_WEBHOOK_DEV_SECRET';

/** The signing secret of the environment or `.env`. */
export function knownSecret(setting: Setting): string | undefined {
  return setting(ownEntry) ?? setting(mainEntry);
}

/** Points the webhook of that name here, or makes it. */
export async function register(
  api: VastApi,
  wanted: Wanted,
  setting: Setting,
  io: CliContext,
  note: Note,
): Promise<Registration> {
  const { name, url, types } = wanted;
  const { interrupted: signal } = io;
  const [webhook, another] = (await api.listWebhooks({ signal })).filter((each) => each.name === name);
  if (another) throw new CliError(`Vast.ai has several webhooks named "${name}": delete all but one, or give --name`);
  if (webhook) {
    const changes = { webhook_url: url, ...(types && { event_types: await keysOf(api, types, signal) }) };
    await api.updateWebhook(webhook.id, changes, { signal });
    note('info', `webhook ${webhook.id} "${name}" now leads to ${url}`);
    const entry = await entryOf(io, webhook.id);
    return { id: webhook.id, secret: entry === undefined ? knownSecret(setting) : setting(entry) };
  }
  const eventTypes = await keysOf(api, types ?? ['all'], signal);
  const created = await withNewSecret(io, setting, () =>
    api.createWebhook({ name, webhook_url: url, event_types: eventTypes }),
  );
  note(
    'info',
    `webhook ${created.id} "${name}" leads to ${url}, with ${eventTypes.length === 1 ? '1 type' : `${eventTypes.length} types`}`,
  );
  return { id: created.id, secret: created.webhook_secret };
}

async function keysOf(api: VastApi, types: readonly string[], signal: AbortSignal): Promise<string[]> {
  const { expandTypes } = await import('../manage/expand-types.js');
  const keys = (await api.listTypes({ signal })).map(({ key }) => key);
  return expandTypes(types, keys);
}

/** The webhook's secret anew. The old one signs nothing from then on. */
export async function rotate(api: VastApi, id: number, setting: Setting, io: CliContext): Promise<string> {
  const { webhook_secret } = await withNewSecret(io, setting, () => api.rotateSecret(id), id);
  return webhook_secret;
}

/**
 * Asks for a secret when it is sure that it can be kept, and keeps it. The call is not ended by an interruption: its
 * answer has the only copy.
 */
async function withNewSecret<Answer extends { readonly id: number; readonly webhook_secret: string }>(
  io: CliContext,
  setting: Setting,
  ask: () => Promise<Answer>,
  rotatedId?: number,
): Promise<Answer> {
  const envName = await entryFor(io, setting, rotatedId);
  const rotated = rotatedId === undefined ? undefined : { id: String(rotatedId), isOnly: false };
  const target = await openSecretTarget(io, { envName }, { service, defaultName: envName, rotated });
  return askForSecret(io, target, {}, ask, ({ webhook_secret, id }) => ({ secret: webhook_secret, id: String(id) }));
}

/** The webhook's own entry, or one that is free: others may hold another webhook's secret, which cannot be had again. */
async function entryFor(io: CliContext, setting: Setting, id: number | undefined): Promise<string> {
  const own = await entryOf(io, id);
  if (own !== undefined) return own;
  // Beside secrets with labels it would be another webhook's for `serve`.
  const main = setting(listVariable) === undefined ? [mainEntry] : [];
  const free = [...main, ownEntry, ...[2, 3, 4, 5, 6, 7, 8, 9].map((n) => `${ownEntry}_${n}`)];
  const name = free.find((each) => setting(each) === undefined);
  if (name === undefined) throw new CliError(`.env has ten secrets of webhooks: remove the entries that are of no use`);
  return name;
}

/** The entry of `.env` that is marked as the webhook's, and that no variable of the environment hides. */
async function entryOf(io: CliContext, id: number | undefined): Promise<string | undefined> {
  const marks = marksIn(await readEnvText(io));
  return [...marks].find(([name, mark]) => mark.service === service && mark.id === String(id) && !io.env[name])?.[0];
}

export interface TestRun {
  /** How many deliveries have arrived, and of them how many did not match the secret. */
  seen(): { arrived: number; mismatched: number };
  /** Gets another secret, because the one here is not the webhook's. */
  renewSecret(): Promise<void>;
  /** Between two attempts, in milliseconds. */
  readonly waitMs: number;
}

const attempts = 4;

/** Has the test event sent until it arrives: a new tunnel's name takes a moment to be known everywhere. */
export async function sendTest(api: VastApi, id: number, run: TestRun, signal: AbortSignal, note: Note): Promise<void> {
  let hasRenewed = false;
  for (let left = attempts - 1; ; left--) {
    const before = run.seen();
    const error = await api.testWebhook(id, { signal }).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (error !== undefined && !(error instanceof ApiError)) throw error;
    const { arrived, mismatched } = run.seen();
    if (mismatched > before.mismatched && !hasRenewed) {
      hasRenewed = true;
      note('warn', `the secret here is not this webhook's: it gets another one`);
      await run.renewSecret();
      continue;
    }
    if (error === undefined) {
      note('info', arrived > before.arrived ? 'the test has arrived' : 'the test was sent, and has not arrived yet');
      return;
    }
    if (arrived > before.arrived || left === 0 || error.status !== 400) {
      note('error', `the test failed: ${error.message}`);
      return;
    }
    await sleep(run.waitMs, undefined, { signal });
  }
}
