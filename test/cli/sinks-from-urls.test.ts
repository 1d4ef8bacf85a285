import { describe, expect, it } from 'vitest';
import { addressIn } from '../../src/cli/serve/sink-address.js';
import { sinkKindOf } from '../../src/cli/serve/sink-kinds.js';
import { givenSinks, secretsInSink, sinksFromUrls } from '../../src/cli/serve/sinks-from-urls.js';
import { CliError } from '../../src/cli/shared/errors.js';
import { sampleEvent } from '../../src/testing/index.js';
import { deliveryOf } from '../support/delivery.js';

const settings = { labels: [], cwd: '.' };

function namesOf(...other: string[]): string[] {
  return sinksFromUrls(givenSinks('--sink', other), settings).map(({ name }) => name);
}

describe('an address', () => {
  it.each([
    ['https://hooks.slack.com/services/T/B/x', 'slack'],
    ['https://hooks.slack-gov.com/services/T/B/x', 'slack'],
    ['https://hooks.slack.com/triggers/T/1/x', 'slackWorkflow'],
    ['https://hooks.slack.com/workflows/T/A/1/x', 'slackWorkflow'],
    ['https://chat.googleapis.com/v1/spaces/S/messages?key=k&token=t', 'googleChat'],
    ['https://discord.com/api/webhooks/1/x', 'discord'],
    ['https://canary.discord.com/api/webhooks/1/x', 'discord'],
    ['https://prod-1.westus.logic.azure.com/workflows/1/triggers/manual/paths/invoke?sig=s', 'teams'],
    ['https://default1.2.environment.api.powerplatform.com/powerautomate/automations/direct/workflows/1', 'teams'],
  ])('%s is of %s', (url, name) => {
    expect(namesOf(url)).toEqual([expect.stringMatching(new RegExp(`^${name}-[0-9a-f]{8}$`))]);
  });

  it.each([
    'http://hooks.slack.com/services/T/B/x',
    'https://hooks.slack.com.example/services/T/B/x',
    'https://discord.com/invite/x',
    'https://notdiscord.com/api/webhooks/1/x',
    'https://logic.azure.com.example/workflows/1',
    'nothing',
  ])('%s is refused', (url) => {
    expect(() => namesOf(url)).toThrow('--sink');
  });

  it('keeps its name, whatever comes before it or is removed', () => {
    const urls = [
      'https://hooks.slack.com/services/T/B/x',
      'https://discord.com/api/webhooks/1/x',
      'https://hooks.slack.com/services/T/B/y',
    ];
    const names = namesOf(...urls);
    expect(new Set(names).size).toBe(3);
    expect(namesOf(...urls.slice(1))).toEqual(names.slice(1));
    expect(namesOf(...urls.toReversed())).toEqual(names.toReversed());
    const given = sinksFromUrls(givenSinks('--slack', urls.slice(0, 1), 'slack'), settings);
    expect(given.map(({ name }) => name)).toEqual(names.slice(0, 1));
  });
});

describe('an address in a form that Apprise has', () => {
  it.each([
    ['slack://T0/B0/AbC', 'slack'],
    ['discord://1/AbC', 'discord'],
    ['discord://1/AbC?thread=2', 'discord'],
    ['pagerduty://R0aUtInGkEy', 'pagerDuty'],
    ['pagerduty://R0aUtInGkEy@api-key?region=eu', 'pagerDuty'],
    [`http+https://whsec_${'a/+b'.repeat(8)}@example.com/hook?a=b`, 'http'],
    ['cloudevents+https://example.com/hook?a=b', 'cloudEvents'],
  ])('%s is of %s', (url, name) => {
    expect(namesOf(url)).toEqual([expect.stringMatching(new RegExp(`^${name}-[0-9a-f]{8}$`))]);
  });

  it.each([
    ['ntfys://mytopic', 'https://ntfy.sh/mytopic', 'ntfys://ntfy.sh/mytopic', 'https://ntfy.sh/mytopic/'],
    ['tgram://123456:ABCdef/7', 'tgram://bot123456:ABCdef/7', 'tgram://123456:ABCdef/7/'],
    ['gotifys://Push.Example/AbCdEf12345', 'gotifys://push.example/AbCdEf12345/'],
    ['matrixs://t@m.example/!r:m.example', 'matrixs://t@M.example/%21r:m.example'],
  ])('is the same sink in each of its forms: %s', (...forms) => {
    expect(new Set(forms.flatMap((form) => namesOf(form))).size).toBe(1);
  });

  it.each([
    'gotifys://user:pass@push.example/AbCdEf12345',
    'slack://bot@T0/B0/AbC',
    'mmosts://bot@chat.example/abc',
    'ntfys://ntfy.sh/a/b',
  ])('is refused with a part that would be dropped: %s', (form) => {
    expect(() => namesOf(form)).toThrow('the address must be like');
  });

  it("and the service's own address are one sink", () => {
    expect(namesOf('slack://T0/B0/AbC')).toEqual(namesOf('https://hooks.slack.com/services/T0/B0/AbC'));
    expect(namesOf('discord://1/AbC')).toEqual(namesOf('https://discord.com/api/webhooks/1/AbC'));
  });

  it.each([
    ['slack://xoxb-secretslacktoken/#channel', '--sink: the address must be like slack://T.../B.../TOKEN'],
    ['discord://1/secretslacktoken?format=markdown', 'does not take (valid: thread)'],
    ['slack://T0/B0/secretslacktoken?format=markdown', 'does not take (it takes none)'],
    ['pagerduty://secretslacktoken?region=mars', 'must be like pagerduty://KEY'],
    ['http+https://secretslacktoken@example.com', 'must be like http+https://whsec_SECRET@HOST/PATH'],
    ['http+https://whsec_secretslacktoken@example.com', '--sink: HTTP endpoint: a secret must be whsec_'],
  ])('%s is refused with what it must be like', (url, message) => {
    const refused = () => namesOf(url);
    expect(refused).toThrow(CliError);
    expect(refused).toThrow(message);
    expect(refused).not.toThrow(/secretslacktoken/);
  });

  it('is listed where an https address says nothing by its host', () => {
    for (const form of ['slack://', 'discord://', 'pagerduty://KEY', 'http+https://', 'cloudevents+https://']) {
      expect(() => namesOf('https://example.com/hook')).toThrow(form);
    }
  });
});

describe('an address that is refused', () => {
  const refusalOf = (address: string): string => {
    try {
      namesOf(address);
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error('it was taken');
  };

  it.each([
    ['pushover://user@SecretSlackToken', '--sink: pushover:// is not known: give'],
    ['telegram://123:SecretSlackToken@host/chat', 'telegram:// is not known'],
    ['SecretSlackToken', 'this is no address'],
    ['slack://T/B/x,discord://1/SecretSlackToken', '--sink: these are several addresses'],
    ['https://discord.com/api/webhooks/1/x;ops=slack://T/B/SecretSlackToken', 'these are several addresses'],
    ['tgram://1:SecretSlackToken/2, host@slack://T/B/x', 'these are several addresses'],
    ['tgram://1:SecretSlackToken/2 slack://T/B/x', 'these are several addresses'],
    ['discord://1/SecretSlackToken,', 'these are several addresses'],
    ['https://acme.webhook.office.com/webhookb2/SecretSlackToken', 'make a workflow in Teams'],
    ['https://outlook.office.com/webhook/SecretSlackToken', 'make a workflow in Teams'],
    ['https://api.telegram.org/botSecretSlackToken/sendMessage', 'give it as tgram://TOKEN/CHAT'],
    ['https://api.pushover.net/1/messages.json?token=SecretSlackToken', 'give it as pover://USER@TOKEN'],
    ['https://events.eu.pagerduty.com/v2/enqueue/SecretSlackToken', 'give it as pagerduty://KEY'],
    ['https://example.com/SecretSlackToken', 'example.com is not known'],
  ])('%s says so without its token', (address, message) => {
    expect(refusalOf(address)).toContain(message);
    expect(refusalOf(address)).not.toMatch(/secretslacktoken/i);
  });

  it('is not refused for white space around it', () => {
    const address = 'discord://1/AbC';
    expect(namesOf(` ${address}\n`)).toEqual(namesOf(address));
    expect(namesOf(` ops=${address} `)).toEqual(['ops']);
  });
});

describe('a name', () => {
  const slack = 'https://hooks.slack.com/services/T/B/x';

  it('stands before the address, and before the label of a webhook', () => {
    const given = givenSinks('--sink', [`ops=${slack}`, `on-call=host@${slack}`, `host@${slack}`]);
    const sinks = sinksFromUrls(given, { ...settings, labels: ['host'] });
    expect(sinks.map(({ name }) => name)).toEqual(['ops', 'on-call', expect.stringMatching(/^slack-/)]);
    const accepts = (webhook: string) => sinks.map(({ accepts }) => accepts?.({} as never, { webhook } as never));
    expect(accepts('host')).toEqual([undefined, true, true]);
    expect(accepts('client')).toEqual([undefined, false, false]);
  });

  it('that is used twice is refused, and so is an address that is given twice', () => {
    const given = [...givenSinks('SLACK_WEBHOOK_URL', [slack], 'slack'), ...givenSinks('--sink', [slack])];
    expect(() => sinksFromUrls(given, settings)).toThrow(/^SLACK_WEBHOOK_URL and --sink: one address is given twice/);
    expect(() => namesOf(`ops=${slack}`, 'ops=https://discord.com/api/webhooks/1/x')).toThrow(
      '--sink: two sinks are named "ops"',
    );
    expect(namesOf(slack, `ops=${slack}`)).toHaveLength(2);
  });
});

describe('an address of a mail server', () => {
  it('keeps a + and takes a list of recipients', () => {
    const text = 'mailtos://me+vast:p+w@smtp.example.com?from=me+vast@example.com&to=a+1@example.com,b@example.com';
    const { user, password, parameters } = addressIn(text) ?? {};
    expect([user, password]).toEqual(['me+vast', 'p+w']);
    expect(parameters).toEqual({ from: 'me+vast@example.com', to: 'a+1@example.com,b@example.com' });
    expect(sinkKindOf(text)).toMatchObject({ kind: 'email' });
  });
});

describe('what a log must not have of an address', () => {
  it.each([
    ['https://chat.googleapis.com/v1/spaces/S/messages?key=the-secret-key&token=the-secret-token', 2],
    ['tgram://123456:the-secret-token/@channel', 1],
    ['mailtos://me%40example.com:the-secret-%40@smtp.example.com/you@example.com', 1],
  ])('%s', (text, count) => {
    const secrets = secretsInSink({ where: '--sink', text: `ops=${text}` });
    expect(secrets).toContain(text);
    expect(secrets.filter((secret) => /^the-secret-[\w@]*$/.test(secret))).toHaveLength(count);
    expect(secrets.some((secret) => 'https://chat.googleapis.com smtp.example.com'.includes(secret))).toBe(false);
  });
});

function anEvent() {
  const event = sampleEvent('outbid');
  const delivery = deliveryOf(event, { timestamp: 1_790_000_000, receivedAt: 1_790_000_000_000 });
  return [event, { delivery, signal: new AbortController().signal }] as const;
}

describe('an event', () => {
  const token = '110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw';
  const pushoverKeys = ['uQiRzpo4DXghDmr9QzzfQu27cmVRsG', 'azGDORePK8gMaC0QOYAMyEEuzJnyUi'] as const;

  it('goes to a group under its new id, which onError gets', async () => {
    const bodies: string[] = [];
    const send = async (_: unknown, { body }: RequestInit = {}) => {
      bodies.push(String(body));
      const moved = { ok: false, error_code: 400, parameters: { migrate_to_chat_id: -100 } };
      return bodies.length === 1 ? Response.json(moved, { status: 400 }) : Response.json({ ok: true });
    };
    const noticed: unknown[] = [];
    const onError = ({ message }: Error, about: object) => noticed.push([message, about]);
    const around = { ...settings, fetch: send as typeof fetch, onError };
    const [sink] = sinksFromUrls(givenSinks('--sink', [`ops=tgram://${token}/-1`]), around);
    await sink?.deliver(...anEvent());
    expect(bodies.map((body) => JSON.parse(body).chat_id)).toEqual(['-1', -100]);
    expect(noticed).toEqual([[expect.stringContaining('its chat id is now -100'), { sink: 'ops' }]]);
  });

  it.each([
    [`tgram://${token}/-1001`, `POST https://api.telegram.org/bot${token}/sendMessage`, '', '"chat_id":"-1001"'],
    ['ntfys://my-topic', 'POST https://ntfy.sh/', '', '"topic":"my-topic"'],
    ['https://ntfy.sh/my-topic', 'POST https://ntfy.sh/', '', '"topic":"my-topic"'],
    ['ntfy://tk_1@push.example:8080/mine', 'POST http://push.example:8080/', 'Bearer tk_1', '"topic":"mine"'],
    [
      `pover://${pushoverKeys[0]}@${pushoverKeys[1]}`,
      'POST https://api.pushover.net/1/messages.json',
      '',
      `user=${pushoverKeys[0]}`,
    ],
    ['gotifys://push.example/AbCdEf12345', 'POST https://push.example/message', '', '"message":'],
    [
      'matrixs://syt_token@matrix.example/!room:matrix.example',
      /^PUT https:\/\/matrix\.example\/_matrix\/client\/v3\/rooms\/(!|%21)room(:|%3A)matrix\.example\/send\/m\.room\.message\/[\w-]+$/,
      'Bearer syt_token',
      '"m.mentions":{}',
    ],
    ['mmosts://chat.example/xyz123abc', 'POST https://chat.example/hooks/xyz123abc', '', '"attachments":'],
    [
      'zulip://bot@example/abcdefghij0123456789/ops/alerts',
      'POST https://example.zulipchat.com/api/v1/messages',
      /^Basic /,
      'topic=alerts',
    ],
    ['apprises://apprise.example/mykey', 'POST https://apprise.example/notify/mykey', '', '"type":'],
  ])('reaches %s at its service', async (address, request, authorization, inBody) => {
    const asked: { line: string; authorization: string; body: string }[] = [];
    const send = async (url: string | URL | Request, init: RequestInit = {}) => {
      const headers = new Headers(init.headers);
      const line = `${init.method} ${url}`;
      asked.push({ line, authorization: headers.get('authorization') ?? '', body: String(init.body) });
      return Response.json({ ok: true, status: 1, result: 'success', event_id: '$1', id: 1 });
    };
    const [sink] = sinksFromUrls(givenSinks('--sink', [address]), { ...settings, fetch: send as typeof fetch });
    await sink?.deliver(...anEvent());
    expect(asked).toEqual([
      {
        line: typeof request === 'string' ? request : expect.stringMatching(request),
        authorization: typeof authorization === 'string' ? authorization : expect.stringMatching(authorization),
        body: expect.stringContaining(inBody),
      },
    ]);
  });
});
