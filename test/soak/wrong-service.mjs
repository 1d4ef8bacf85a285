import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import { chatSinks, config, journal, ready, whenAsked } from './in-child.mjs';
import { serviceThat, wrongServices } from './wrong-services.mjs';

const wrong = wrongServices[config.wrong];
const { signal } = new AbortController();
const sinks = chatSinks().map((sink) => (id) => {
  const delivery = { provider: 'vast', id, timestamp: Math.floor(Date.now() / 1_000) };
  return sink.deliver({ event_id: id, notif_type: 'outbid' }, { delivery, signal });
});
const serve = serviceThat(wrong, sinks);

const server = createServer(async (req, res) => {
  if (req.url === '/ping') {
    if (wrong.pingHangs && Math.random() < 0.1) return;
    res.writeHead(200).end();
    return;
  }
  const { event_id: id } = await json(req);
  const status = await serve(id);
  // Or so it thinks.
  if (status === 204) journal.note('recorded', id);
  res.writeHead(status).end();
});
server.listen(config.port, '127.0.0.1', () => ready());
if (wrong.crashes) setTimeout(() => process.exit(3), 1_000);

whenAsked(() => server.close());
