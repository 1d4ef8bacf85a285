import type { LoggedDelivery } from '../delivery-log.js';

/** Written anew by whatever sends the copy. */
const ofConnection =
  /^(host|content-length|connection|keep-alive|transfer-encoding|expect|te|trailer|upgrade|via|accept-encoding)$/i;
const signed = /^x-vast-(signature-256|timestamp)$/i;

/**
 * The delivery for a shell. A genuine one is signed afresh with the secret of the environment, because its own
 * signature is too old after five minutes. Another one goes as it came.
 */
export function asCurl(delivery: LoggedDelivery, url: string): string {
  const isGenuine = delivery.id !== undefined && !delivery.isBase64;
  const headers = delivery.headers.filter(([name]) => !ofConnection.test(name) && !(isGenuine && signed.test(name)));
  const lines = [
    ...headers.map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`),
    ...(isGenuine
      ? ['-H "X-Vast-Timestamp: $time"', '-H "X-Vast-Signature-256: sha256=$signature"', '--data-binary "$body"']
      : [`--data-binary ${delivery.isBase64 ? '@-' : quoted(delivery.body)}`]),
  ];
  const command = [`curl -i ${quoted(url)}`, `-X ${quoted(delivery.method)}`, ...lines].join(' \\\n  ');
  if (delivery.isBase64) return `base64 -d <<< ${quoted(delivery.body)} | ${command}\n`;
  if (!isGenuine) return `${command}\n`;
  return `${[
    `body=${quoted(delivery.body)}`,
    'time=$(date +%s)',
    `signature=$(printf %s "$time.$body" | openssl dgst -sha256 -hmac "$VAST_WEBHOOK_SECRET" | sed 's/.* //')`,
    command,
  ].join('\n')}\n`;
}

/**
 * One word of bash or zsh. What is no printable ASCII is escaped, because a control character could end a paste and
 * begin a command.
 */
function quoted(text: string): string {
  if (/^[ -~]*$/.test(text)) return `'${text.replaceAll("'", `'\\''`)}'`;
  const bytes = new TextEncoder().encode(text);
  const escaped = Array.from(bytes, (byte) => {
    const character = String.fromCharCode(byte);
    if (character === "'" || character === '\\') return `\\${character}`;
    // Three digits, because a further one of the text would not belong to it.
    return byte >= 0x20 && byte < 0x7f ? character : `\\${byte.toString(8).padStart(3, '0')}`;
  });
  return `$'${escaped.join('')}'`;
}

/** As `verify --file` and `replay` read it. */
export function asJson({ headers, body, isBase64, at, method, path }: LoggedDelivery): string {
  const capture = {
    method,
    path,
    receivedAt: new Date(at).toISOString(),
    headers,
    ...(isBase64 ? { bodyBase64: body } : { body }),
  };
  return `${printed(capture, 2)}\n`;
}

/** A test of the user's own receiver. */
export function asTest(delivery: LoggedDelivery, url: string): string {
  const { number, at, body, id, type = 'event', status, isBase64, headers, method } = delivery;
  const isGenuine = id !== undefined && !isBase64;
  const title = isGenuine ? `takes ${type} of delivery ${number}` : `answers delivery ${number} with ${status}`;
  const sent = headers.filter(([name]) => !ofConnection.test(name));
  return `${[
    ...(isGenuine ? ["import { signedDelivery } from 'vast-webhook/testing';"] : []),
    "import { expect, it } from 'vitest';",
    '',
    `// As it came on ${new Date(at).toISOString()}, byte by byte.`,
    isBase64 ? `const body = Buffer.from(${printed(body)}, 'base64');` : `const body = ${printed(body)};`,
    '',
    `it(${printed(title)}, async () => {`,
    ...(isGenuine
      ? ['  const { headers } = signedDelivery(body, process.env.VAST_WEBHOOK_SECRET);']
      : [`  const headers = ${printed(sent)};`]),
    `  const response = await fetch(${printed(url)}, { method: ${printed(method)}, headers, body });`,
    `  expect(response.status).toBe(${isGenuine ? 204 : status});`,
    '});',
  ].join('\n')}\n`;
}

/** JSON in which all can be seen. */
function printed(value: unknown, indent?: number): string {
  return JSON.stringify(value, undefined, indent).replace(
    /[\x7f-\x9f\u2028\u2029]|\p{Bidi_Control}/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
