import { describe, expect, it } from 'vitest';
import { adapters, type Mounting, mountings, serve, signed } from '../support/adapters.js';
import { json } from './guarded.js';

describe.each(adapters)('%s: the middleware', (name, adapter) => {
  describe.each(Object.keys(mountings) as Mounting[])('%s', (mounting) => {
    it('calls the handler of the endpoint for a genuine delivery', async () => {
      const service = await serve(adapter, { mounting });
      expect((await service.send(signed())).status).toBe(204);
      expect(service.handled).toHaveLength(1);
      expect(await service.outcome()).toMatchObject({ result: 'accepted' });
    });

    it('accepts only POST there', async () => {
      const service = await serve(adapter, { mounting });
      for (const method of ['GET', 'PUT', 'DELETE']) {
        expect(await service.send({ ...signed(), method })).toMatchObject({ status: 405, headers: { allow: 'POST' } });
      }
      expect(service.handled).toHaveLength(0);
    });

    it('lets requests to other paths pass, with a body of any size for their own parser', async () => {
      const service = await serve(adapter, { mounting, options: { limit: 10 } });
      const sent = { text: 'x'.repeat(90_000) };
      const answer = await service.send({ target: '/elsewhere', headers: json, body: JSON.stringify(sent) });
      expect(JSON.parse(answer.body)).toEqual({ got: sent });
      expect(service.outcomes).toHaveLength(0);
    });

    // koa-mount compares case and @koa/router does not, which the middleware cannot change.
    // koa-mount itself fails on a target without a path.
    const byKoaMount = name.startsWith('Koa') && mounting === 'under a mount';
    const spellings: Record<string, (endpoint: string) => string> = {
      plain: (endpoint) => endpoint,
      'with a query': (endpoint) => `${endpoint}?a=b`,
      'with an empty query': (endpoint) => `${endpoint}?`,
      'with a fragment': (endpoint) => `${endpoint}#a`,
      'with a slash at its end': (endpoint) => `${endpoint}/`,
      'with two slashes at its end': (endpoint) => `${endpoint}//`,
      'with two slashes at its start': (endpoint) => `/${endpoint}`,
      'with two slashes within': (endpoint) => endpoint.replace(/\/(?=[^/]*$)/, '//'),
      'with a backslash': (endpoint) => endpoint.replace(/\/(?=[^/]*$)/, '\\'),
      'with a backslash and a fragment': (endpoint) => `${endpoint.replace(/\/(?=[^/]*$)/, '\\')}#a`,
      'with an encoded slash': (endpoint) => endpoint.replace(/\/(?=[^/]*$)/, '%2F'),
      'with an encoded letter': (endpoint) => endpoint.replace(/.$/, (last) => `%${last.charCodeAt(0).toString(16)}`),
      'with dots': (endpoint) => `/.${endpoint}`,
      'with dots that go up': (endpoint) => `/a/..${endpoint}`,
      'with parameters': (endpoint) => `${endpoint};a=b`,
      'with a tab at its end': (endpoint) => `${endpoint}\t`,
      'with a no-break space at its end': (endpoint) => `${endpoint}\xa0`,
      'with an encoded space at its end': (endpoint) => `${endpoint}%20`,
      'with a null byte at its end': (endpoint) => `${endpoint}%00`,
      'in absolute form': (endpoint) => `http://service.test${endpoint}`,
      'in absolute form with a user': (endpoint) => `http://user@service.test:8080${endpoint}/`,
      'in absolute form with another scheme': (endpoint) => `foo://service.test${endpoint}`,
      'in absolute form with a backslash': (endpoint) => `http://service.test${endpoint.replaceAll('/', '\\')}`,
      'in absolute form without a path': () => 'http://service.test',
      'in absolute form with another scheme, in upper case, with a slash': (endpoint) =>
        `FOO://service.test${endpoint}/`,
      ...(!byKoaMount && {
        'in absolute form with another scheme and without a path': () => 'foo://service.test',
        'in upper case': (endpoint) => endpoint.toUpperCase(),
        'in upper case and absolute form, with a slash': (endpoint) => `HTTP://SERVICE.TEST${endpoint.toUpperCase()}/?`,
      }),
    };

    it.each(Object.entries(spellings))(
      'calls no handler for an unsigned request: the endpoint %s',
      async (_, spell) => {
        const service = await serve(adapter, { mounting });
        const answer = await service.send({ ...signed({}, { key: 'forged' }), target: spell(service.endpoint) });
        expect(service.handled).toHaveLength(0);
        expect(adapter.refusals).toContain(answer.status);
      },
    );

    const same = ['plain', 'with a query', 'with a slash at its end', 'in absolute form', 'in upper case'];
    it.each(same.filter((spelling) => spelling in spellings))('is found there: the endpoint %s', async (spelling) => {
      const service = await serve(adapter, { mounting });
      const spell = spellings[spelling] as (endpoint: string) => string;
      expect((await service.send({ ...signed(), target: spell(service.endpoint) })).status).toBe(204);
      expect(service.handled).toHaveLength(1);
    });
  });
});
