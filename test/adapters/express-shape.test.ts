import type { IncomingMessage, ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import { shareShape } from '../../src/adapters/express-shape.js';
import { adapters, serve, signed } from '../support/adapters.js';

describe.each(adapters.filter(([name]) => name.startsWith('Express')))('%s', (_name, adapter) => {
  it('has its request and response linked to each other behind the middleware, as before it', async () => {
    const seen: { before: boolean; behind: boolean }[] = [];
    let link: () => boolean = () => false;
    const service = await serve(adapter, {
      around: (next, req, res) => {
        const { req: request, res: response } = { req, res } as {
          req: IncomingMessage & { res?: ServerResponse };
          res: ServerResponse;
        };
        link = () => request.res === response && response.req === request;
        seen.push({ before: link(), behind: false });
        return next();
      },
      handler: () => {
        seen[0] = { before: seen[0]?.before ?? false, behind: link() };
        return 204;
      },
    });
    expect(await service.send(signed())).toMatchObject({ status: 204 });
    expect(seen).toEqual([{ before: true, behind: true }]);
  });
});

describe('a request that Express has not linked', () => {
  it('is left as it is', () => {
    const req = Object.freeze({ url: '/' });
    const res = Object.freeze({ req: 'something else' });
    shareShape(req, res);
    expect(res.req).toBe('something else');
  });
});
