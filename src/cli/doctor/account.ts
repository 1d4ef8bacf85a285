import { vastTypes } from 'vast-webhook';
import { ApiError } from 'vast-webhook/api';
import { slugOf } from '../manage/expand-types.js';
import { withoutToken } from '../manage/show-webhook.js';
import type { Manager, Webhook } from '../manage/webhook.js';
import { type Finding, ok, problem, skipped } from './finding.js';

export interface AccountQuestion {
  readonly manager: Manager;
  readonly name?: string;
  readonly url?: string;
}

/** Gives what it finds at the service, and in the end the webhook that is meant. */
export async function* examineAccount(question: AccountQuestion): AsyncGenerator<Finding, Webhook | undefined> {
  const { manager } = question;
  let webhooks: readonly Webhook[];
  try {
    webhooks = await manager.list();
  } catch (error) {
    yield apiProblem(error);
    for (const check of ['webhook', 'types', 'preferences', 'catalogue'])
      yield skipped(check, 'the API does not answer');
    return undefined;
  }
  yield ok('api-key', `it works, and may list: ${webhooks.length} of 4 webhooks`);
  const keys = await keysOf(manager);
  const webhook = chooseWebhook(webhooks, question);
  if ('status' in webhook) {
    yield webhook;
    yield skipped('types', 'there is no webhook to look at');
    yield skipped('preferences', 'there is no webhook to look at');
    yield judgeCatalogue(keys);
    return undefined;
  }
  yield judgeWebhook(webhook, question.url);
  yield judgeTypes(webhook, keys);
  yield await judgePreferences(manager, webhook);
  yield judgeCatalogue(keys);
  return webhook;
}

function apiProblem(error: unknown): Finding {
  if (!(error instanceof ApiError)) throw error;
  const { status, message, code } = error;
  const detail = message.replace(/\.$/, '');
  if (status === 401 || status === 403) {
    return problem(
      'api-key',
      detail,
      'make a key in the Vast.ai console that may read and write webhooks (user_read, user_write)',
    );
  }
  if (status === 429) return problem('api-key', detail, 'wait a minute, and let nothing else use the key as often');
  if (code === 'invalid_answer')
    return problem('api-key', detail, 'look whether --base-url is right, and what proxy is in between');
  return problem('api-key', detail, 'look whether this machine reaches the API, and try again');
}

async function keysOf(manager: Manager): Promise<readonly string[] | undefined> {
  try {
    return (await manager.types()).map(({ key }) => key);
  } catch (error) {
    if (error instanceof ApiError) return undefined;
    throw error;
  }
}

function chooseWebhook(webhooks: readonly Webhook[], { name, url }: AccountQuestion): Webhook | Finding {
  const cure = 'create it: vast-webhook create --url https://... --type all';
  if (webhooks.length === 0) return problem('webhook', 'none is registered', cure);
  const byName = name === undefined ? webhooks : webhooks.filter((each) => each.name === name || each.id === name);
  if (byName.length === 0) return problem('webhook', `none is called "${name}"`, cure);
  const byUrl = url === undefined ? byName : byName.filter((each) => each.url === url);
  const [first, another] = byUrl.length > 0 || name === undefined ? byUrl : byName;
  if (first === undefined) {
    const near = byName.find((each) => plain(each.url) === plain(url ?? ''));
    return near
      ? problem(
          'webhook',
          `none has this URL, but one has ${withoutToken(near.url)}`,
          `vast-webhook update ${near.id} --url ${withoutToken(url ?? '')}`,
        )
      : problem(
          'webhook',
          `none has this URL: there are ${byName.map((each) => withoutToken(each.url)).join(', ')}`,
          cure,
        );
  }
  if (another === undefined) return first;
  return problem(
    'webhook',
    `there are several, ${byUrl.map(({ id }) => id).join(', ')}`,
    'say which with --name (or its id)',
  );
}

/** As people think of a URL: without its scheme, case and last slash. */
function plain(url: string): string {
  return url
    .replace(/^https?:\/\/(www\.)?/i, '')
    .replace(/\/$/, '')
    .toLowerCase();
}

function judgeWebhook({ id, name, url }: Webhook, expected: string | undefined): Finding {
  if (expected !== undefined && url !== expected) {
    return problem(
      'webhook',
      `the webhook ${id} is registered with another URL: ${withoutToken(url)}`,
      `vast-webhook update ${id} --url ${withoutToken(expected)}`,
    );
  }
  return ok('webhook', `${id}${name ? ` "${name}"` : ''} is registered with ${withoutToken(url)}`);
}

function judgeTypes({ id, types }: Webhook, keys: readonly string[] | undefined): Finding {
  if (types.length === 0)
    return problem('types', 'it subscribes to no type, so nothing comes', `vast-webhook update ${id} --type all`);
  const gone = keys ? types.filter((type) => !keys.includes(type)) : [];
  if (gone.length > 0) {
    return problem(
      'types',
      `it subscribes to what the catalogue does not hold: ${gone.join(', ')}`,
      `vast-webhook update ${id} --type ...`,
    );
  }
  const contexts = new Set(types.map((key) => key.split(':', 1)[0]));
  const mixed = contexts.size > 1 ? '; of renting and hosting at once: a delivery does not say which it is about' : '';
  return ok('types', `it subscribes to ${types.length} of ${keys?.length ?? 'the'} types${mixed}`);
}

async function judgePreferences(manager: Manager, webhook: Webhook): Promise<Finding> {
  let muted: readonly string[];
  try {
    muted = await manager.mutedTypes(webhook);
  } catch (error) {
    if (error instanceof ApiError) return skipped('preferences', 'the key may not read them');
    throw error;
  }
  if (muted.length === 0) return ok('preferences', 'none holds a delivery back');
  return problem(
    'preferences',
    `the account's notification preferences hold back ${muted.join(', ')}`,
    'switch webhooks on for them in the Vast.ai console, or have "vast-webhook update --type" do it',
  );
}

/** A type that this version does not know comes through all the same. */
function judgeCatalogue(keys: readonly string[] | undefined): Finding {
  if (keys === undefined) return skipped('catalogue', 'the key may not read it');
  const unknown = keys.filter((key) => !Object.hasOwn(vastTypes, slugOf(key)));
  if (unknown.length === 0) return ok('catalogue', `this version knows all ${keys.length} types`);
  return ok('catalogue', `newer than this version, and delivered all the same: ${unknown.join(', ')}`);
}
