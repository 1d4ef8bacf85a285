// What each runtime serves in `runtimes.mjs`: the middleware, and what careful code by hand does in its place.
import { Buffer } from 'node:buffer';
import { createHmac, timingSafeEqual } from 'node:crypto';
import { vastWebhook } from 'vast-webhook/fetch';
import { secret } from './deliveries.mjs';

/** A function for the server of a runtime. */
export function service() {
  const handle = () => new Response(null, { status: 204 });
  const services = {
    ours: vastWebhook(secret, {}, handle),
    'web-crypto': byHand(handle, webCrypto()),
    'node-crypto': byHand(handle, nodeCrypto),
  };
  return (request, ...context) => services[request.url.slice(request.url.lastIndexOf('/') + 1)](request, ...context);
}

/** It checks the signature and the window, parses, and handles each event once, of the last 10,000. */
function byHand(handle, isSigned) {
  const seen = new Set();
  return async (request) => {
    if (request.method !== 'POST') return new Response(null, { status: 405, headers: { Allow: 'POST' } });
    const signature = request.headers.get('x-vast-signature-256') ?? '';
    const timestamp = request.headers.get('x-vast-timestamp') ?? '';
    if (!/^sha256=[0-9a-f]{64}$/.test(signature) || !/^\d{1,15}$/.test(timestamp)) return refused();
    if (Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) return refused();
    const body = await request.text();
    if (body.length > 65_536) return new Response(null, { status: 413 });
    if (!(await isSigned(`${timestamp}.${body}`, signature.slice('sha256='.length)))) return refused();
    const event = JSON.parse(body);
    if (seen.has(event.event_id)) return new Response(null, { status: 204 });
    const response = handle(event);
    seen.add(event.event_id);
    if (seen.size > 10_000) seen.delete(seen.values().next().value);
    return response;
  };
}

/** As the documentation of these runtimes does it. The key is imported once. */
function webCrypto() {
  const encoder = new TextEncoder();
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  let importing;
  return async (signed, hex) => {
    importing ??= crypto.subtle.importKey('raw', encoder.encode(secret), algorithm, false, ['verify']);
    const signature = Uint8Array.from(hex.match(/../g), (digits) => Number.parseInt(digits, 16));
    return crypto.subtle.verify('HMAC', await importing, signature, encoder.encode(signed));
  };
}

function nodeCrypto(signed, hex) {
  const digest = createHmac('sha256', secret).update(signed).digest();
  return timingSafeEqual(digest, Buffer.from(hex, 'hex'));
}

function refused() {
  return new Response('{"ok":false,"error":"invalid_signature"}', { status: 401 });
}
