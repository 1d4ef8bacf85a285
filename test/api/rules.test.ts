import { describe, expect, it } from 'vitest';
import { shodaiApi, v0Api, vastApi } from '../../src/api/index.js';
import { startShodaiManagement, startV0Management, startVastManagement } from '../support/management-stand-in.js';
import { printed, started } from './set-up.js';

const url = 'https://example.com/hook';
const urlOf = (length: number) => `https://example.com/${'x'.repeat(length - 'https://example.com/'.length)}`;

const badUrls: [string, unknown][] = [
  ['http', 'http://example.com/hook'],
  ['another scheme', 'ftp://example.com/hook'],
  ['no scheme', 'example.com/hook'],
  ['no host', 'https://'],
  ['no host but a path', 'https:///hook'],
  ['no slashes', 'https:example.com'],
  ['a host that is none', 'https://exa mple.com/'],
  ['a port that is none', 'https://example.com:99999/'],
  ['a user name', 'https://user@example.com/hook'],
  ['a password', 'https://:pass@example.com/hook'],
  ['a space before', ` ${url}`],
  ['a newline behind', `${url}\n`],
  ['a tab within', 'https://example.com/ho\tok'],
  ['nothing', ''],
  ['undefined', undefined],
  ['null', null],
  ['a URL object', new URL(url)],
];

/** Rejects with a `TypeError` that names the field and shows no value, and nothing is sent. */
async function expectRefused(call: Promise<unknown>, field: string, requests: readonly unknown[]) {
  const error = await call.then(
    () => expect.fail('the call succeeded'),
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(TypeError);
  expect((error as Error).message).toContain(field);
  expect(printed(error)).not.toContain('pass@');
  expect(requests).toEqual([]);
}

describe('vastApi', () => {
  const good = { webhook_url: url, event_types: ['client:outbid'] };
  const setUp = async () => {
    const standIn = await started(startVastManagement());
    return { standIn, api: vastApi({ apiKey: standIn.apiKey, baseUrl: standIn.url }) };
  };

  const bad: [string, string, unknown][] = [
    ...badUrls.map(([what, value]): [string, string, unknown] => ['webhook_url', what, value]),
    ['webhook_url', 'more than 2,048 characters', urlOf(2_049)],
    ['name', 'more than 120 characters', 'x'.repeat(121)],
    ['name', 'a newline', 'a\nb'],
    ['name', 'NUL', 'a\u0000'],
    ['name', 'DEL', 'a\u007f'],
    ['name', 'a C1 control', 'a\u0085'],
    ['name', 'a number', 7],
    ['event_types', 'none', []],
    ['event_types', 'undefined', undefined],
    ['event_types', 'a string', 'client:outbid'],
    ['event_types', 'a slug without its context', ['outbid']],
    ['event_types', 'another context', ['admin:outbid']],
    ['event_types', 'a context alone', ['client:']],
    ['event_types', 'white space', ['client:outbid ']],
    ['event_types', 'one bad among good', ['client:outbid', 'outbid']],
    ['event_types', 'a number', [7]],
    ['eventTypes', 'a field that is none', ['client:outbid']],
    ['__proto__ ', 'a field that is none', 1],
    ['constructor', 'a field that is none', 1],
  ];
  it.each(bad)('createWebhook refuses %s: %s', async (field, _, value) => {
    const { standIn, api } = await setUp();
    await expectRefused(api.createWebhook({ ...good, [field]: value }), field, standIn.requests);
  });
  it.each(bad.filter(([, what]) => what !== 'undefined'))('updateWebhook refuses %s: %s', async (field, _, value) => {
    const { standIn, api } = await setUp();
    await expectRefused(api.updateWebhook(42, { [field]: value }), field, standIn.requests);
  });

  it.each<[string, object]>([
    ['a URL of 2,048 characters', { webhook_url: urlOf(2_048) }],
    ['a URL with a port and a query', { webhook_url: 'https://example.com:8443/x?y=z' }],
    ['a URL in capitals', { webhook_url: 'HTTPS://EXAMPLE.COM/' }],
    ['a name of 120 characters', { name: 'x'.repeat(120) }],
    ['a name of 120 emoji', { name: '🚀'.repeat(120) }],
    ['an empty name', { name: '' }],
    ['no name', { name: null }],
    ['an undefined name', { name: undefined }],
    ['a host type', { event_types: ['host:machine_offline'] }],
  ])('and takes %s, as the service does', async (_, fields) => {
    const { standIn, api } = await setUp();
    const { id } = await api.createWebhook({ ...good, ...fields });
    await api.updateWebhook(id, { ...good, ...fields });
    expect(standIn.violations).toEqual([]);
  });

  it('takes a type that it does not know', async () => {
    const standIn = await started(startVastManagement({ newTypes: ['client:brand_new'] }));
    const api = vastApi({ apiKey: standIn.apiKey, baseUrl: standIn.url });
    await api.createWebhook({ ...good, event_types: ['client:brand_new'] });
  });

  it.each([[{}], [{ name: undefined }]])('updateWebhook refuses changes without any: %j', async (changes) => {
    const { standIn, api } = await setUp();
    await expectRefused(api.updateWebhook(42, changes), 'at least one of name, webhook_url', standIn.requests);
  });

  it.each([[0], [-1], [1.5], [Number.NaN], [2 ** 53], ['42'], ['42/../43'], [undefined], [null]])(
    'refuses the id %j',
    async (id) => {
      const { standIn, api } = await setUp();
      const calls = {
        updateWebhook: () => api.updateWebhook(id as number, { name: 'x' }),
        rotateSecret: () => api.rotateSecret(id as number),
        testWebhook: () => api.testWebhook(id as number),
        deleteWebhook: () => api.deleteWebhook(id as number),
      };
      for (const [name, call] of Object.entries(calls)) await expectRefused(call(), `${name}: id`, standIn.requests);
      await expectRefused(api.preferences(id as number), 'preferences: userId', standIn.requests);
      await expectRefused(api.setPreferences(id as number, {}), 'setPreferences: userId', standIn.requests);
    },
  );

  it.each([
    [undefined],
    [null],
    ['x'],
    [[]],
    [{ client: true }],
    [{ client: { low_credit: true } }],
    [{ client: { low_credit: { email: 1 } } }],
  ])('setPreferences refuses %j', async (preferences) => {
    const { standIn, api } = await setUp();
    await expectRefused(api.setPreferences(1, preferences as never), 'preferences must be', standIn.requests);
  });

  it.each([[undefined], [null], ['x']])('createWebhook refuses %j for its fields', async (fields) => {
    const { standIn, api } = await setUp();
    await expectRefused(api.createWebhook(fields as never), 'createWebhook', standIn.requests);
  });
});

describe('shodaiApi', () => {
  const setUp = async () => {
    const standIn = await started(startShodaiManagement());
    return { standIn, api: shodaiApi({ apiKey: standIn.apiKey, baseUrl: standIn.url }) };
  };
  it.each<[string, string, unknown]>([
    ...badUrls.map(([what, value]): [string, string, unknown] => ['url', what, value]),
    ['eventTypes', 'a string', 'agreement.transitioned'],
    ['eventTypes', 'an empty one', ['']],
    ['filters', 'a list', []],
    ['filters', 'a filter that is none', { agreementId: ['x'] }],
    ['filters', 'a filter that is no list', { agreementIds: 'x' }],
    ['filters', 'a filter of numbers', { agreementIds: [1] }],
    ['name', 'a field that is none', 'x'],
    ['status', 'a field of updates', 'active'],
  ])('createWebhook refuses %s: %s', async (field, _, value) => {
    const { standIn, api } = await setUp();
    await expectRefused(api.createWebhook({ url, [field]: value }), field, standIn.requests);
  });

  it('updateWebhook refuses another status, and changes without any', async () => {
    const { standIn, api } = await setUp();
    await expectRefused(api.updateWebhook('x', { status: 'gone' as 'active' }), 'status', standIn.requests);
    await expectRefused(api.updateWebhook('x', {}), 'at least one of url', standIn.requests);
  });

  it.each([[''], ['.'], ['..'], [7], [undefined], ['\ud800']])('refuses the id %j', async (id) => {
    const { standIn, api } = await setUp();
    await expectRefused(api.getWebhook(id as string), 'getWebhook: the id', standIn.requests);
    await expectRefused(api.deleteWebhook(id as string), 'deleteWebhook: the id', standIn.requests);
  });

  it.each([['a/b'], ['../x'], ['a?b#c'], ['%2e%2e'], ['ü 🚀']])('keeps the id %j in its segment', async (id) => {
    const { standIn, api } = await setUp();
    await api.testWebhook(id).catch(() => {});
    expect(standIn.calls).toEqual([`POST /v0/webhooks/${encodeURIComponent(id)}/test`]);
  });
});

describe('v0Api', () => {
  const good = { name: 'x', url, events: ['chat.created'] };
  it.each<[string, string, unknown]>([
    ...badUrls.map(([what, value]): [string, string, unknown] => ['url', what, value]),
    ['name', 'none', ''],
    ['name', 'undefined', undefined],
    ['events', 'none', []],
    ['events', 'undefined', undefined],
    ['events', 'a string', 'chat.created'],
    ['chatId', 'an empty one', ''],
    ['chatId', 'a number', 7],
    ['hook', 'a field that is none', 7],
  ])('createWebhook refuses %s: %s', async (field, _, value) => {
    const standIn = await started(startV0Management());
    const api = v0Api({ apiKey: standIn.apiKey, baseUrl: standIn.url });
    await expectRefused(api.createWebhook({ ...good, [field]: value }), field, standIn.requests);
  });
});

describe.each([
  ['vastApi', vastApi],
  ['shodaiApi', shodaiApi],
  ['v0Api', v0Api],
])('%s throws a TypeError at once for', (_, make) => {
  it.each<[string, unknown]>([
    ['apiKey', undefined],
    ['apiKey', ''],
    ['apiKey', ' sekret-key'],
    ['apiKey', 'sekret-key\n'],
    ['apiKey', 'Bearer sekret-key'],
    ['apiKey', 'sekret-kéy'],
    ['apiKey', 'sekret-key\u0000'],
    ['apiKey', '“sekret-key”'],
    ['apiKey', 7],
    ['baseUrl', 'http://example.com'],
    ['baseUrl', 'ftp://example.com'],
    ['baseUrl', 'example.com'],
    ['baseUrl', 'http://localhost.example.com'],
    ['baseUrl', 'http://127.0.0.1.example.com'],
    ['baseUrl', 'https://sekret-user@example.com'],
    ['baseUrl', 'https://example.com/?sekret=1'],
    ['baseUrl', 'https://example.com/#x'],
    ['baseUrl', 7],
    ['fetch', 'fetch'],
    ['timeoutMs', 0],
    ['timeoutMs', 1.5],
    ['timeoutMs', 2 ** 31],
    ['timeoutMs', '1000'],
    ['timeout', 1_000],
  ])('%s: %j', (option, value) => {
    let error: unknown;
    try {
      make({ apiKey: 'key', [option]: value } as never);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toContain(option);
    expect(printed(error)).not.toContain('sekret');
  });

  it.each([[undefined], [null], ['key']])('options that are none: %j', (options) => {
    expect(() => make(options as never)).toThrow(TypeError);
  });

  it.each(['https://example.com', 'http://127.0.0.1:1', 'http://127.9.9.9', 'http://localhost:1/x/', 'http://[::1]:1'])(
    'but not for baseUrl %s',
    (baseUrl) => {
      make({ apiKey: 'key', baseUrl, fetch, timeoutMs: 1 });
    },
  );
});
