import { describe, expect, it, onTestFinished } from 'vitest';
import { ApiError, shodaiApi, vastApi } from '../../src/api/index.js';
import {
  failures,
  startShodaiManagement,
  startV0Management,
  startVastManagement,
} from '../support/management-stand-in.js';
import { workplace } from './call.js';

const url = 'https://example.com/vast/webhooks';

describe('Vast.ai', () => {
  it('create and update show what they switched on in the account, and when', async () => {
    const service = await startVastManagement();
    onTestFinished(() => service.close());
    const call = (...args: string[]) =>
      workplace().call([...args, '--base-url', service.url], { env: { VAST_API_KEY: service.apiKey } });
    const created = await call('create', '--url', url, '--name', 'renter', '--type', 'outbid');
    expect(created.err).toContain("Switched on in the account's notification settings: client:outbid");
    const updated = await call('update', 'renter', '--type', 'outbid,client:low_credit', '--json');
    expect(JSON.parse(updated.out)).toMatchObject({
      enabledTypes: ['client:low_credit'],
      updatedAt: expect.stringMatching(/^\d{4}-.*Z$/),
    });
    expect((await call('update', 'renter', '--name', 'x')).err).toMatch(/Updated at \d{4}-/);
  });

  it('an error shows its word beside its text', async () => {
    const service = await startVastManagement();
    onTestFinished(() => service.close());
    service.failNext(failures.json(404, { success: false, error: 'no_such_webhook', msg: 'It is not there' }));
    const api = vastApi({ apiKey: service.apiKey, baseUrl: service.url });
    const error = await api.deleteWebhook(1).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: 'no_such_webhook',
      message: expect.stringContaining('It is not there (no_such_webhook)'),
    });
  });
});

describe('v0', () => {
  it('gets a chatId always, and shows the chat', async () => {
    const service = await startV0Management();
    onTestFinished(() => service.close());
    const call = (...args: string[]) =>
      workplace().call([...args, '--provider', 'v0', '--base-url', service.url], {
        env: { V0_API_KEY: service.apiKey },
      });
    const hook = ['create', '--url', `${url}?token=t`, '--type', 'all', '--name'];
    expect(await call(...hook, 'every')).toMatchObject({ status: 0 });
    const { status, err } = await call(...hook, 'one', '--chat-id', 'chat_7');
    expect(err).toContain('Limited to the chat chat_7.');
    expect(status).toBe(0);
    expect(service.webhooks.map(({ chatId }) => chatId)).toEqual([null, 'chat_7']);
    expect(service.violations).toEqual([]);
  });
});

describe('Shodai', () => {
  const flags = [
    '--agreement-id',
    'a,b',
    '--template-id',
    't',
    '--input-id',
    'i',
    '--from-state',
    'f',
    '--to-state',
    's',
  ];

  it('takes all six filters, and shows them', async () => {
    const service = await startShodaiManagement();
    onTestFinished(() => service.close());
    const env = { SHODAI_API_KEY: service.apiKey };
    const place = workplace();
    const args = ['--provider', 'shodai', '--base-url', service.url];
    const created = await place.call(['create', '--url', url, ...flags, '--rule-id', 'r', ...args], { env });
    expect(created).toMatchObject({ status: 0, err: expect.stringContaining('Filters: {"agreementIds":["a","b"]') });
    expect(service.webhooks[0]?.filters).toEqual({
      agreementIds: ['a', 'b'],
      templateIds: ['t'],
      inputIds: ['i'],
      fromStates: ['f'],
      toStates: ['s'],
      ruleIds: ['r'],
    });
    const id = service.webhooks[0]?.id ?? '';
    expect(await place.call(['update', id, '--to-state', 'signed', ...args], { env })).toMatchObject({ status: 0 });
    expect(service.webhooks[0]?.filters).toEqual({ toStates: ['signed'] });
    const elsewhere = await place.call(['create', '--url', url, '--type', 'all', '--rule-id', 'r'], { env });
    expect(elsewhere).toMatchObject({ status: 2, err: expect.stringContaining('--provider shodai') });
  });

  it.each([[null], [[]]])('eventTypes %j mean the default', async (eventTypes) => {
    const service = await startShodaiManagement();
    onTestFinished(() => service.close());
    const api = shodaiApi({ apiKey: service.apiKey, baseUrl: service.url });
    const webhook = await api.createWebhook({ url, eventTypes });
    expect(webhook).toMatchObject({
      eventTypes: ['agreement.transitioned'],
      principalId: 'prn_1',
      createdByApiKeyId: 'key_1',
      meta: { requestId: expect.any(String) },
    });
  });

  it('has details and the request of an error on ApiError, printed too, without a secret', async () => {
    const service = await startShodaiManagement();
    onTestFinished(() => service.close());
    const details = [{ field: 'url', issue: 'not https', given: 'whsec_00112233445566778899' }];
    const body = { error: { code: 'invalid_request', message: 'No', details, requestId: 'req_42' } };
    service.failNext(failures.json(400, body), 2);
    const api = shodaiApi({ apiKey: service.apiKey, baseUrl: service.url });
    const error = await api.listWebhooks().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({
      code: 'invalid_request',
      requestId: 'req_42',
      details: [{ field: 'url', given: '[redacted]' }],
    });
    const env = { SHODAI_API_KEY: service.apiKey };
    const { err } = await workplace().call(['list', '--provider', 'shodai', '--base-url', service.url], { env });
    expect(err).toContain('details: [{"field":"url","issue":"not https","given":"[redacted]"}]');
    expect(err).toContain('request: req_42');
  });
});
