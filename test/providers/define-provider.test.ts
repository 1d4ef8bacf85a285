import { createServer, request as send } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import express4 from 'express4';
import Koa from 'koa';
import { describe, expect, it, vi } from 'vitest';
import { summarized } from '../../src/contracts/delivery.js';
import { createForwarder, type Outcome } from '../../src/index.js';
import { webhook as fetchWebhook } from '../../src/provider/fetch.js';
import {
  bodyHmac,
  defineProvider,
  type Provider,
  type ProviderDefinition,
  standardWebhooks,
  timestampedHmac,
  urlToken,
  webhook,
} from '../../src/provider/index.js';
import { webhook as koaWebhook } from '../../src/provider/koa.js';
import { digest, log } from '../../src/sinks/index.js';
import { signedDelivery } from '../../src/testing/index.js';

interface RocketEvent {
  readonly uid: string;
  readonly kind: string;
}

let providers = 0;
const newName = () => `rocket-${++providers}`;

function definition(changes: object = {}): ProviderDefinition<RocketEvent, true> {
  return {
    name: newName(),
    path: '/rocket/webhooks',
    scheme: bodyHmac({ header: 'X-Rocket-Signature' }),
    idOf: (event) => event.uid,
    typeOf: (event) => event.kind,
    summarize: (event) => ({ subject: event.kind, url: 'https://rocket.example/' }),
    ...changes,
  };
}

const options = (path = '/') => ({ path, onOutcome() {}, onError() {} });

describe('defineProvider refuses', () => {
  it.each<[string, object, RegExp]>([
    ['no name', { name: undefined }, /the option name is missing/],
    ['an upper-case letter', { name: 'Rocket' }, /name must be a name of lower-case letters/],
    ['a colon, which separates the parts of a key', { name: 'a:b' }, /name must be a name of lower-case letters/],
    ['a name of the package', { name: 'vast' }, /another provider "vast"/],
    ['the name of its digests', { name: 'vast-webhook' }, /"vast-webhook" is taken.* such as 'vast-webhook-events'/],
    ['a property of every object', { name: 'constructor' }, /"constructor" is taken/],
    ['what others keep their user in', { name: 'user' }, /"user" is taken/],
    ['a path without a slash', { path: 'rocket' }, /path must be a path that begins with '\/'/],
    ['no scheme', { scheme: undefined }, /the option scheme is missing/],
    [
      'a scheme that was not called',
      { scheme: standardWebhooks },
      /result of .*standardWebhooks\(\).*: is it called\?/,
    ],
    ['a scheme of its own', { scheme: { signsBody: true } }, /scheme must be the result of/],
    ['an async function', { idOf: async () => 'x' }, /idOf must be a function that is not async/],
    ['an async function for the type', { typeOf: async () => 'x' }, /typeOf must be a function that is not async/],
    [
      'an async function for the texts',
      { summarize: async () => ({ subject: 'x', url: 'https://x.example/' }) },
      /summarize must be a function that is not async/,
    ],
    ['a misspelt option', { idof: () => 'x' }, /unknown option "idof" \(valid: name, path/],
    ['no summary', { summarize: undefined }, /the option summarize is missing/],
  ])('%s', (_, changes, message) => {
    expect(() => defineProvider(definition(changes))).toThrow(TypeError);
    expect(() => defineProvider(definition(changes))).toThrow(message);
  });

  it('another provider of the same name, and takes the same one again', () => {
    const first = definition();
    defineProvider(first);
    expect(() => defineProvider({ ...first })).not.toThrow();
    expect(() => defineProvider({ ...first, idOf: () => 'another' })).toThrow(/another provider "rocket-\d+"/);
    expect(() => defineProvider({ ...first, path: '/other' })).toThrow(/another provider/);
  });

  /** All names that a request of these frameworks has, so that no provider can take the place of one. */
  it('every property of a request and of a state', async () => {
    const names = new Set<string>();
    const collect = (value: object) => {
      for (let each = value; each !== null; each = Object.getPrototypeOf(each)) {
        for (const name of Object.getOwnPropertyNames(each)) names.add(name);
      }
    };
    const koa = new Koa();
    koa.use((ctx) => {
      collect(ctx.req);
      collect(ctx.state);
      ctx.status = 204;
    });
    for (const listener of [
      koa.callback(),
      ...[express, express4 as unknown as typeof express].map((framework) => {
        const app = framework();
        app.use(framework.json());
        return app.post('/:id', (req, res) => {
          collect(req);
          res.sendStatus(204);
        });
      }),
    ]) {
      const server = createServer(listener).listen(0, '127.0.0.1');
      await new Promise((resolve) => server.once('listening', resolve));
      const { port } = server.address() as AddressInfo;
      await new Promise((resolve) => {
        send({ port, host: '127.0.0.1', method: 'POST', path: '/1?a=b' }, (res) =>
          res.resume().on('end', resolve),
        ).end();
      });
      server.close();
    }
    const usable = [...names].filter((name) => /^[a-z][a-z0-9-]*$/.test(name));
    expect(usable.length).toBeGreaterThan(50);
    const taken = (name: string) => {
      try {
        defineProvider(definition({ name }));
        return false;
      } catch {
        return true;
      }
    };
    expect(usable.filter((name) => !taken(name))).toEqual([]);
  });
});

describe('a scheme refuses', () => {
  it.each<[string, () => unknown, RegExp]>([
    ['no header', () => bodyHmac({} as never), /give header/],
    [
      'a header that is none',
      () => bodyHmac({ header: 'x signature' }),
      /the option header must be the name of a header/,
    ],
    ['the SHA-1 header of GitHub', () => bodyHmac({ header: 'X-Hub-Signature' }), /SHA1.*use 'x-hub-signature-256'/],
    ['the prefix of another hash', () => bodyHmac({ header: 'x', prefix: 'sha512=' }), /prefix must be/],
    ['another encoding', () => bodyHmac({ header: 'x', encoding: 'base64url' as never }), /'hex' or 'base64'/],
    [
      'one header for two things',
      () => timestampedHmac({ headers: { signature: 'x-a', timestamp: 'X-A' } }),
      /same name/,
    ],
    ['no timestamp', () => timestampedHmac({ headers: { signature: 'x-a' } as never }), /give headers: \{ signature/],
    ['no headers', () => timestampedHmac({} as never), /give headers|must be an object/],
    ['a misspelt header', () => timestampedHmac({ headers: { sig: 'x' } as never }), /unknown option "sig"/],
    ['other header names', () => standardWebhooks({ prefix: 'acme' as never }), /prefix must be 'webhook' or 'svix'/],
    ['no parameter', () => urlToken({} as never), /give parameter: 'token'/],
    ['a parameter with an =', () => urlToken({ parameter: 'a=b' }), /parameter must be the name of a parameter/],
  ])('%s', (_, make, message) => {
    expect(make).toThrow(TypeError);
    expect(make).toThrow(message);
  });
});

describe('webhook refuses', () => {
  const standard = defineProvider(definition({ scheme: standardWebhooks() }));

  it.each([
    ['text', 'a secret'],
    ['nothing behind the prefix', 'whsec_'],
    ['too few bytes', `whsec_${Buffer.alloc(23).toString('base64')}`],
    ['too many bytes', `whsec_${Buffer.alloc(65).toString('base64')}`],
    ['base64 of another alphabet', `whsec_${'-_'.repeat(20)}`],
    ['base64 that lost a part of its end', `whsec_${'A'.repeat(37)}`],
    ['base64 with too much padding', `whsec_${'A'.repeat(32)}=`],
    ['base64 without whsec_', Buffer.alloc(32).toString('base64')],
  ])('a secret of standardWebhooks that is %s, without showing it', (_, secret) => {
    expect(() => webhook(standard, secret)).toThrow(/the secret must be whsec_ and the base64 of 24 to 64 bytes/);
    expect(() => webhook(standard, { label: secret })).toThrow(TypeError);
    if (secret.length > 12) expect(() => webhook(standard, secret)).not.toThrow(secret.slice(6));
  });

  it('no secret only because its padding was left out', () => {
    expect(() => webhook(standard, `whsec_${Buffer.alloc(32).toString('base64').replace('=', '')}`)).not.toThrow();
  });

  it('a key for asymmetric signatures', () => {
    expect(() => webhook(standard, 'whpk_AAAA')).toThrow(/asymmetric.*begins with "whsec_"/);
  });

  it('an empty secret of every scheme', () => {
    for (const scheme of [bodyHmac({ header: 'x' }), urlToken({ parameter: 'token' }), standardWebhooks()]) {
      expect(() => webhook(defineProvider(definition({ scheme })), '')).toThrow(/the secret is empty/);
    }
  });

  it('a window where no time is signed', () => {
    for (const scheme of [bodyHmac({ header: 'x' }), urlToken({ parameter: 'token' })]) {
      const provider = defineProvider(definition({ scheme }));
      expect(() => webhook(provider, 'a secret', { toleranceSeconds: 300 })).toThrow(
        /toleranceSeconds has no effect, because rocket-\d+ signs no time: completedTtlMs/,
      );
    }
  });

  it('what defineProvider did not return', () => {
    for (const provider of [definition(), undefined, null, 'vast', { name: 'vast' }]) {
      expect(() => webhook(provider as never, 'a secret')).toThrow(/result of defineProvider/);
    }
  });
});

it('the type of the event, and whether it is signed, reach the handler and the sinks', () => {
  const answer = new Response(null, { status: 204 });
  const unsigned = defineProvider({ ...definition(), name: newName(), scheme: urlToken({ parameter: 'token' }) });
  const audit = (event: RocketEvent) => void event.uid;
  fetchWebhook(defineProvider(definition()), 'a secret', {}, ({ event, delivery }) => {
    event.uid satisfies string;
    delivery.verified satisfies true;
    // @ts-expect-error no such field
    event.nope;
    return answer;
  });
  fetchWebhook(unsigned, 'a token', { sinks: [audit], handoff: true }, ({ event, delivery }) => {
    event.kind satisfies string;
    delivery.verified satisfies false;
    return answer;
  });
});

describe('the functions of a provider', () => {
  const body = '{"uid":"u1","kind":"launched"}';
  const deliver = async (provider: Provider<RocketEvent>, id?: string) => {
    const outcomes: Outcome[] = [];
    const hook = fetchWebhook(
      provider,
      'a secret',
      { onOutcome: (each) => outcomes.push(each) },
      () => new Response(null, { status: 204 }),
    );
    const { headers } = signedDelivery(body, 'a secret', { provider, ...(id !== undefined && { id }) });
    const { status } = await hook(new Request('https://rocket.example/', { method: 'POST', headers, body }));
    return { status, outcome: outcomes[0] };
  };

  it.each(['idOf', 'typeOf'])(
    'make the sender try again when %s gives a promise, though it is rejected',
    async (name) => {
      const { status, outcome } = await deliver(
        defineProvider(definition({ [name]: () => Promise.reject(new Error('no')) })),
      );
      expect(status).toBe(500);
      expect(outcome?.error?.message).toMatch(/idOf or typeOf of the provider rocket-\d+ threw: it returned a promise/);
    },
  );

  it('have the definition as this', async () => {
    const provider = defineProvider<RocketEvent, true>({
      ...definition(),
      idOf({ uid }) {
        return `${this.path}:${uid}`;
      },
      typeOf({ kind }) {
        return `${this.path}:${kind}`;
      },
      summarize() {
        return { subject: this.path, url: 'https://rocket.example/' };
      },
    });
    const { outcome } = await deliver(provider);
    expect(outcome).toMatchObject({ id: '/rocket/webhooks:u1', type: '/rocket/webhooks:launched' });
    expect(summarized({}, { provider: provider.name }).subject).toBe('/rocket/webhooks');
  });

  it('may give a number, which a copy of the id must equal, too', async () => {
    const scheme = timestampedHmac({ headers: { signature: 'x-signature', timestamp: 'x-time', id: 'x-id' } });
    const provider = defineProvider(definition({ scheme, idOf: () => 7 }));
    expect(await deliver(provider, '7')).toMatchObject({ status: 204, outcome: { id: '7' } });
    expect(await deliver(provider, '8')).toMatchObject({ status: 400, outcome: { code: 'event_id_mismatch' } });
  });
});

describe('paths in each other', () => {
  const warned = (make: () => unknown): string[] => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
    make();
    const lines = warn.mock.calls.map(([line]) => String(line));
    warn.mockRestore();
    return lines;
  };
  const rocket = defineProvider(definition());
  const comet = defineProvider(definition());
  const at = (make: typeof webhook | typeof koaWebhook, provider: typeof rocket, path: string) =>
    warned(() => make(provider, 'a secret', { path }));

  it.each([webhook, koaWebhook])('reports a second middleware whose path ends in the first one’s', (make) => {
    const base = `/${newName()}`;
    expect(at(make, rocket, base)).toEqual([]);
    expect(at(make, rocket, base)).toEqual([]);
    expect(at(make, comet, `/other${base}`)).toEqual([
      expect.stringMatching(/the path '\/other\/rocket-\d+' .*ends in '\/rocket-\d+', .* refuse its deliveries/),
    ]);
    expect(at(make, comet, `/other${base}-2`)).toEqual([]);
    expect(at(make, rocket, `/renter${base}`)).toHaveLength(1);
    expect(at(make, comet, base)).toHaveLength(1);
  });

  it('says it to onError, if there is one', () => {
    const base = `/${newName()}`;
    webhook(rocket, 'a secret', options(base));
    const onError = vi.fn();
    webhook(comet, 'a secret', { path: `/x${base}`, onError });
    expect(onError).toHaveBeenCalledOnce();
  });
});

describe('the texts of an event', () => {
  const summaryOf = (summarize: (event: RocketEvent, type: string) => unknown) => {
    const { name } = defineProvider(definition({ summarize }));
    return summarized({ uid: 'u', kind: 'launched' }, { provider: name });
  };
  const url = 'https://rocket.example/';

  it('have defaults', () => {
    const subject = 'Lift-off';
    expect(summaryOf(() => ({ subject, url }))).toEqual({
      subject,
      message: '',
      type: 'launched',
      severity: 'info',
      url,
    });
  });

  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('no');
      },
    ],
    ['gives nothing', () => undefined],
    ['gives numbers', () => ({ subject: 1, message: {}, severity: 'fatal', url: 7, type: 9 })],
    ['gives a promise, though it is rejected', () => Promise.reject(new Error('no'))],
  ])('are usable when summarize %s', (_, summarize) => {
    expect(summaryOf(summarize)).toMatchObject({ subject: '', message: '', severity: 'info' });
    expect(summaryOf(summarize).url).toMatch(/^https:\/\/rocket-\d+\.example\/$/);
  });

  it.each([
    ['javascript:alert(1)', /\.example\/$/],
    ['https://user:password@rocket.example/', /^https:\/\/rocket-\d+\.example\/$/],
    [`${url}${'x'.repeat(2_000)}`, /\.example\/$/],
    [`${url}<!channel>|a*b*@room`, /^https:\/\/rocket\.example\/%3C!channel%3E%7Ca%2Ab%2A%40room$/],
  ])('have no address that a chat would read as something else: %s', (address, expected) => {
    expect(summaryOf(() => ({ subject: 'x', url: address })).url).toMatch(expected);
  });
});

describe('sinks and workers', () => {
  it('know an application’s provider, and its type from a header', async () => {
    const { name } = defineProvider(
      definition({ typeOf: (_: object, headers: { get(n: string): unknown }) => headers.get('X-Kind') }),
    );
    const lines: string[] = [];
    const delivered: unknown[] = [];
    const batched = digest({ everyMs: 1 }, { name: 'digested', deliver: (event) => void delivered.push(event) });
    const forward = createForwarder<object>({ sinks: [log({ write: (line) => lines.push(line) }), batched] });
    const rawBody = Buffer.from('{"uid":"u1","kind":"body"}').toString('base64');
    await forward({ provider: name, id: 'u1', type: 'landed', attempt: 1, timestamp: 1, receivedAt: 1, rawBody });
    await forward.close();
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ provider: name, type: 'landed', verified: false });
    expect(delivered).toMatchObject([{ kind: 'body' }]);
  });

  it('say what to do about an unknown one', async () => {
    const forward = createForwarder({ sinks: [log()], onOutcome() {} });
    const queued = { provider: 'nobody', id: 'x', attempt: 1, timestamp: 1, receivedAt: 1, rawBody: 'e30=' };
    await expect(forward(queued)).rejects.toThrow(
      'unknown provider "nobody" (valid: vast, shodai, v0, vast-webhook, and those of defineProvider): import the module that defines it in this process, too',
    );
  });
});
