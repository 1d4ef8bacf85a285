import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { shodaiApi, v0Api, vastApi } from '../src/api/index.js';
import { vastWebhook as fetchWebhook } from '../src/fetch.js';
import { createForwarder, memoryStore, vastWebhook } from '../src/index.js';
import { vastWebhook as koaWebhook } from '../src/koa.js';
import { outcomeMetrics } from '../src/metrics/index.js';
import {
  bullmq,
  cloudEvents,
  digest,
  discord,
  googleChat,
  http,
  log,
  pagerDuty,
  quiet,
  slack,
  slackWorkflow,
  sqliteOutbox,
  teams,
} from '../src/sinks/index.js';
import { postgresStore, redisStore, sqliteStore } from '../src/stores/index.js';
import { sampleEvent, signedDelivery } from '../src/testing/index.js';
import { sqliteHandles } from './support/sqlite.js';

const url = 'https://example.com/hook';
const queue = { name: 'queue', add: async () => {} };
const client = { query: async () => ({ rows: [] }) };
const redis = { evalsha: async () => null, eval: async () => null };
const openDatabase = () => sqliteHandles()[0].open(':memory:');
async function audit() {}

/** Each public function with options, called with valid options and the given ones. */
const calls: Readonly<Record<string, (options: object) => unknown>> = {
  'vastWebhook, Express': (options) => vastWebhook('secret', options),
  'vastWebhook, Koa': (options) => koaWebhook('secret', options),
  'vastWebhook, fetch': (options) => fetchWebhook('secret', options, () => new Response()),
  createForwarder: (options) => createForwarder({ sinks: [audit], store: memoryStore(), ...options }),
  sqliteOutbox: (options) => sqliteOutbox(openDatabase(), { sinks: [audit], ...options }),
  digest: (options) => digest({ everyMs: 1, ...options }, audit),
  quiet: (options) => quiet({ perMinute: 1, ...options }, audit),
  memoryStore: (options) => memoryStore(options),
  sqliteStore: (options) => sqliteStore(openDatabase(), options),
  postgresStore: (options) => postgresStore(client as never, options),
  redisStore: (options) => redisStore(redis as never, options),
  slack: (options) => slack(url, options),
  slackWorkflow: (options) => slackWorkflow(url, options),
  discord: (options) => discord(url, options),
  googleChat: (options) => googleChat(url, options),
  teams: (options) => teams(url, options),
  pagerDuty: (options) => pagerDuty('e93facc04764012d7bfb002500d5d1a6', options),
  http: (options) => http(url, { secret: `whsec_${Buffer.alloc(32).toString('base64')}`, ...options }),
  cloudEvents: (options) => cloudEvents(url, options),
  log: (options) => log(options),
  bullmq: (options) => bullmq(queue, options),
  vastApi: (options) => vastApi({ apiKey: 'key', ...options }),
  shodaiApi: (options) => shodaiApi({ apiKey: 'key', ...options }),
  v0Api: (options) => v0Api({ apiKey: 'key', ...options }),
  outcomeMetrics: (options) => outcomeMetrics(new Registry(), options),
  signedDelivery: (options) => signedDelivery(sampleEvent('outbid'), 'secret', options),
};

describe.each(Object.entries(calls))('%s', (_, call) => {
  it('accepts the options that it has', () => {
    expect(() => call({})).not.toThrow();
  });

  it('refuses an option that it does not have, and names those that it has', () => {
    expect(() => call({ tiemoutMs: 1 })).toThrow(/unknown option "tiemoutMs" \(valid: \w+/);
    expect(() => call({ tiemoutMs: 1 })).toThrow(TypeError);
  });

  it('refuses the names of properties that every object has', () => {
    expect(() => call({ toString: 1 })).toThrow(/unknown option "toString"/);
  });
});

const sinks = ['slack', 'slackWorkflow', 'discord', 'googleChat', 'teams', 'pagerDuty', 'http', 'cloudEvents', 'log'];

describe.each([...sinks, 'bullmq', 'sqliteOutbox'])('the name of %s', (of) => {
  it.each([
    ['empty', ''],
    ['a number', 7],
    ['null', null],
    ['longer than 255 characters', 'x'.repeat(256)],
  ])('is not %s', (_, name) => {
    expect(() => calls[of]?.({ name })).toThrow(/name must be a string of 1 to 255 characters/);
    expect(() => calls[of]?.({ name })).toThrow(TypeError);
  });

  it('is the given value', () => {
    expect(calls[of]?.({ name: 'x'.repeat(255) })).toMatchObject({ name: 'x'.repeat(255) });
  });
});

describe.each(sinks.slice(0, -1))('the HTTP options of %s', (of) => {
  it.each([
    ['timeoutMs', 0],
    ['timeoutMs', 1.5],
    ['timeoutMs', 2 ** 31],
    ['timeoutMs', '10'],
    ['fetch', 'fetch'],
  ])('%s is not %j', (name, value) => {
    expect(() => calls[of]?.({ [name]: value })).toThrow(new RegExp(`the option ${name} must be`));
  });
});
