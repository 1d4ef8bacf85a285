// Stands in for API Gateway on this machine: a route POST /vast/webhooks of an HTTP API, payload format 2.0.
import { createServer } from 'node:http';
import { buffer } from 'node:stream/consumers';

const { VAST_WEBHOOK_SECRET, PORT = '8787' } = process.env;
if (!VAST_WEBHOOK_SECRET) {
  console.error('Set VAST_WEBHOOK_SECRET to the secret of the Vast.ai webhook.');
  process.exit(1);
}
const { handler } = await import('./handler.mjs');

const server = createServer(async (req, res) => {
  const { pathname, search } = new URL(req.url, 'http://localhost');
  if (pathname !== '/vast/webhooks') return res.writeHead(404).end('{"message":"Not Found"}');
  const { statusCode, headers, body } = await handler({
    version: '2.0',
    routeKey: 'POST /vast/webhooks',
    rawPath: pathname,
    rawQueryString: search.slice(1),
    headers: Object.fromEntries(Object.entries(req.headersDistinct).map(([name, values]) => [name, values.join(',')])),
    requestContext: { http: { method: req.method, path: pathname }, stage: '$default' },
    body: (await buffer(req)).toString('base64'),
    isBase64Encoded: true,
  });
  res.writeHead(statusCode, headers).end(body);
});

server.listen(Number(PORT), '127.0.0.1', () => {
  console.log(`Listening on http://127.0.0.1:${server.address().port}/vast/webhooks`);
});

for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => server.close());
