import { onTestFinished } from 'vitest';
import { type VastEvent, vastTypes } from '../../src/index.js';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';
import type { ChatStandIn } from '../support/chat-stand-in.js';
import { type CommandOptions, type RunningCommand, startCommand } from './running.js';

export const secret = 'a-secret-of-the-tests-0123456789';

export interface Serving extends RunningCommand {
  /** The endpoint. */
  readonly url: string;
}

/** `serve` in the test's process, on a port of its own. Fails with what it said when it does not come to listen. */
export async function serving(args: readonly string[], options: CommandOptions = {}): Promise<Serving> {
  const env = { VAST_WEBHOOK_SECRET: secret, ...options.env };
  const running = startCommand(['serve', '--port', '0', ...args], { ...options, env });
  const over = running.status.then((status) => {
    throw new Error(`serve ended with ${status}: ${running.io.err}`);
  });
  const [, url = ''] = await Promise.race([running.io.printed(/listening on (http:[^\s,]*)/), over]);
  over.catch(() => {});
  return { ...running, url };
}

/** Sends a delivery of an event as Vast.ai does. */
export function deliver(url: string, event: object = anEvent(), by = secret): Promise<Response> {
  const { body, headers } = signedDelivery(event, by);
  return fetch(url, { method: 'POST', body, headers: { ...headers, Connection: 'close' } });
}

export function anEvent(fields: Partial<VastEvent> = {}): VastEvent {
  return { ...sampleEvent('outbid'), ...fields } as VastEvent;
}

export const types = Object.keys(vastTypes) as (keyof typeof vastTypes)[];

/** A stand-in that ends with the test. */
export async function during<Message>(chat: Promise<ChatStandIn<Message>>): Promise<ChatStandIn<Message>> {
  const standIn = await chat;
  onTestFinished(() => standIn.close());
  return standIn;
}

/** The lines of a JSON log. */
export function logLines(out: string): Record<string, unknown>[] {
  return out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}
