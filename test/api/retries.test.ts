import { beforeEach, describe, expect, it, vi } from 'vitest';
import { shodaiApi, type VastApi, v0Api, vastApi } from '../../src/api/index.js';
import {
  type Failure,
  failures,
  startShodaiManagement,
  startV0Management,
  startVastManagement,
} from '../support/management-stand-in.js';
import { errorOf, started } from './set-up.js';

const { waits } = vi.hoisted(() => ({ waits: [] as number[] }));
vi.mock(import('../../src/api/retry.js'), async (original) => ({
  ...(await original()),
  async pause(ms) {
    waits.push(ms);
  },
}));
beforeEach(() => void waits.splice(0));

const input = { webhook_url: 'https://example.com/vast/webhooks', event_types: ['client:outbid'] };
const preferences = { client: { low_credit: { email: true } } };

const passing: Record<string, Failure> = {
  '429 in plain text': failures.tooFrequent,
  '429 with a detail': failures.tooFrequentDetail,
  '502': failures.html(502),
  '503': failures.text(503, 'busy'),
  '504': failures.json(504, {}),
  'a closed connection': failures.disconnect,
  'a broken answer': failures.breakOff,
};

async function setUp() {
  const standIn = await started(startVastManagement());
  const api = vastApi({ apiKey: standIn.apiKey, baseUrl: standIn.url });
  const { id } = await api.createWebhook(input);
  (standIn.requests as unknown[]).length = 0;
  return { standIn, api, id };
}

const repeatable: Record<string, (api: VastApi, id: number, userId: number) => Promise<unknown>> = {
  listTypes: (api) => api.listTypes(),
  listWebhooks: (api) => api.listWebhooks(),
  updateWebhook: (api, id) => api.updateWebhook(id, { name: 'x' }),
  deleteWebhook: (api, id) => api.deleteWebhook(id),
  preferences: (api, _, userId) => api.preferences(userId),
  setPreferences: (api, _, userId) => api.setPreferences(userId, preferences),
};

describe.each(Object.entries(passing))('after %s', (_, failure) => {
  it.each(Object.entries(repeatable))('%s is tried again', async (_, call) => {
    const { standIn, api, id } = await setUp();
    standIn.failNext(failure, 3);
    await call(api, id, standIn.userId);
    expect(standIn.requests).toHaveLength(4);
    expect(new Set(standIn.calls).size).toBe(1);
    expect(waits).toHaveLength(3);
  });

  it('four attempts are enough', async () => {
    const { standIn, api } = await setUp();
    standIn.failNext(failure, 9);
    await errorOf(api.listWebhooks());
    expect(standIn.requests).toHaveLength(4);
  });

  it.each<[string, (api: VastApi, id: number) => Promise<unknown>]>([
    ['rotateSecret', (api, id) => api.rotateSecret(id)],
    ['testWebhook', (api, id) => api.testWebhook(id)],
  ])('%s is never tried again', async (_, call) => {
    const { standIn, api, id } = await setUp();
    standIn.failNext(failure);
    await errorOf(call(api, id));
    expect(standIn.requests).toHaveLength(1);
    expect(waits).toEqual([]);
  });

  it('createWebhook is never tried again', async () => {
    const { standIn, api } = await setUp();
    // The list, then the call itself.
    standIn.failNext(failures.json(200, { success: true, webhooks: [] }));
    standIn.failNext(failure);
    await errorOf(api.createWebhook(input));
    expect(standIn.calls).toEqual(['GET /webhooks/', 'POST /webhooks/']);
    expect(waits).toEqual([]);
  });
});

it.each([400, 401, 403, 404, 408, 409, 500, 501, 505])('%i is final', async (status) => {
  const { standIn, api } = await setUp();
  standIn.failNext(failures.json(status, { msg: 'no' }));
  expect(await errorOf(api.listWebhooks())).toMatchObject({ status });
  expect(standIn.requests).toHaveLength(1);
});

it('Shodai and v0 repeat an update, which is idempotent, and no creation', async () => {
  const shodai = await started(startShodaiManagement());
  const ofShodai = shodaiApi({ apiKey: shodai.apiKey, baseUrl: shodai.url });
  const { id } = await ofShodai.createWebhook({ url: input.webhook_url });
  shodai.failNext(failures.html(503), 3);
  await ofShodai.updateWebhook(id, { url: 'https://example.com/other' });
  shodai.failNext(failures.html(503), 2);
  await errorOf(ofShodai.createWebhook({ url: input.webhook_url }));
  await errorOf(ofShodai.testWebhook(id));
  expect(shodai.requests).toHaveLength(1 + 4 + 2);

  const v0 = await started(startV0Management());
  const ofV0 = v0Api({ apiKey: v0.apiKey, baseUrl: v0.url });
  const hook = { name: 'x', url: input.webhook_url, events: ['chat.created'] };
  const created = await ofV0.createWebhook(hook);
  v0.failNext(failures.html(503), 3);
  await ofV0.updateWebhook(created.id, { name: 'y' });
  v0.failNext(failures.html(503));
  await errorOf(ofV0.createWebhook(hook));
  expect(v0.requests).toHaveLength(1 + 4 + 1);
});

it('no client repeats a call within the service’s rate limit', async () => {
  const standIn = await started(startVastManagement({ rateLimit: { calls: 1, perMs: 60_000 } }));
  const api = vastApi({ apiKey: standIn.apiKey, baseUrl: standIn.url });
  await api.listTypes();
  const error = await errorOf(api.listTypes());
  expect(error).toMatchObject({ status: 429, code: 'http_429' });
  expect(standIn.requests).toHaveLength(5);
});

describe('the wait', () => {
  it('doubles, and half of it is chance', async () => {
    const random = vi.spyOn(Math, 'random');
    const { standIn, api } = await setUp();
    for (const chance of [0, 0.999_999]) {
      random.mockReturnValue(chance);
      standIn.failNext(failures.tooFrequent, 4);
      await errorOf(api.listTypes());
    }
    expect(waits).toEqual([500, 1_000, 2_000, 1_000, 2_000, 4_000]);
    random.mockRestore();
  });

  it.each([
    ['2', 2_000, 2_000],
    ['0', 500, 1_000],
    ['3600', 10_000, 10_000],
    ['-5', 500, 1_000],
    ['soon', 500, 1_000],
    ['Infinity', 10_000, 10_000],
    [new Date(Date.now() + 3_600_000).toUTCString(), 10_000, 10_000],
    [new Date(Date.now() - 3_600_000).toUTCString(), 500, 1_000],
    ['2999', 10_000, 10_000],
    ['Jan 1 2999', 500, 1_000],
  ])('honours Retry-After: %s, within 10 s', async (retryAfter, least, most) => {
    const { standIn, api } = await setUp();
    standIn.failNext(failures.text(429, 'slow down', { 'Retry-After': retryAfter }));
    await api.listTypes();
    expect(waits).toHaveLength(1);
    expect(waits[0]).toBeGreaterThanOrEqual(least);
    expect(waits[0]).toBeLessThanOrEqual(most);
  });
});
