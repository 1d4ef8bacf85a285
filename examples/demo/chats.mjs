import { createServer } from 'node:http';
import { text as textOf } from 'node:stream/consumers';

/**
 * Stand-ins for the chats, with their contracts: a message that the real one refuses is also refused here.
 * `heard` holds the accepted texts.
 */
export function startSlack(status) {
  return startChat('Slack', '/services/T000/B000/demo', (body) => {
    if (status !== undefined) return [status, 'rollup_error'];
    const { text, blocks = [] } = JSON.parse(body);
    if (!isText(text, 40_000) || blocks.length > 50 || !blocks.every(isBlock)) return [400, 'invalid_payload'];
    return [200, 'ok', text];
  });
}

export function startGoogleChat() {
  return startChat('Google Chat', '/v1/spaces/DEMO/messages?key=demo&token=demo', (body) => {
    const { text } = JSON.parse(body);
    if (!isText(text, Number.POSITIVE_INFINITY) || Buffer.byteLength(body) > 32_000) {
      return [400, JSON.stringify({ error: { code: 400, status: 'INVALID_ARGUMENT' } })];
    }
    return [200, JSON.stringify({ name: 'spaces/DEMO/messages/1', text }), text];
  });
}

function isText(text, max) {
  return typeof text === 'string' && text.length > 0 && text.length <= max;
}

function isBlock({ type, text, elements }) {
  if (type === 'header') return text.type === 'plain_text' && isText(text.text, 150);
  if (type === 'section') return isText(text.text, 3_000);
  return type === 'context' && elements.every((element) => isText(element.text, 3_000));
}

async function startChat(name, path, judge) {
  const heard = [];
  const server = createServer(async (req, res) => {
    let verdict = [400, 'invalid_payload'];
    try {
      verdict = judge(await textOf(req));
    } catch {}
    const [status, answer, text] = req.method === 'POST' && req.url === path ? verdict : [404, 'no_service'];
    if (status === 200) heard.push(text);
    res.writeHead(status).end(answer);
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    name,
    heard,
    url: `http://127.0.0.1:${server.address().port}${path}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
