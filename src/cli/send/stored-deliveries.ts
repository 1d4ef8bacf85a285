import { fromJson } from '../shared/capture.js';
import { CliError } from '../shared/errors.js';

/** A delivery that was kept somewhere. */
export interface StoredDelivery {
  /** Where it stood: `line 3`, `entry 3`. */
  readonly place: string;
  readonly body: string | Buffer;
  readonly eventId: string | undefined;
}

/**
 * The deliveries in a JSON array, in lines of JSON, or in a single JSON value. Each is a plain event, what was received
 * in a form that `verify --file` takes, too, what a queue keeps of a delivery, or a line of the log of `serve`, of which
 * those without an event are left out. Throws a `CliError` that names the first that is none of these.
 */
export function readDeliveries(text: string): StoredDelivery[] {
  const clean = text.replace(/^\uFEFF/, '');
  const whole = parsed(clean);
  if (Array.isArray(whole)) return whole.flatMap((value, index) => deliveryOf(value, `entry ${index + 1}`));
  if (whole !== undefined) return deliveryOf(whole, 'line 1');
  return clean.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return [];
    const place = `line ${index + 1}`;
    const value = parsed(line);
    if (value === undefined) throw new CliError(`${place} is not JSON: give JSON lines or a JSON array`);
    return deliveryOf(value, place);
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function deliveryOf(value: unknown, place: string): StoredDelivery[] {
  const fields = Object(value) as Record<string, unknown>;
  const { time, level, delivery, rawBody } = fields;
  // Of the log of `serve`.
  if (typeof time === 'string' && typeof level === 'string') return delivery ? deliveryOf(delivery, place) : [];
  const captured = fromJson(fields)?.body;
  if (captured !== undefined && captured.length > 0) return [withBody(captured, place)];
  if (rawBody !== undefined) return [withBody(bytesOf(rawBody), place)];
  return [withBody(typeof value === 'string' ? value : JSON.stringify(value), place)];
}

/** As JSON.stringify makes it of a Buffer, or in base64. */
function bytesOf(rawBody: unknown): Buffer {
  const { data } = Object(rawBody) as { data?: unknown };
  if (Array.isArray(data)) return Buffer.from(data);
  return Buffer.from(typeof rawBody === 'string' ? rawBody : '', 'base64');
}

function withBody(body: string | Buffer, place: string): StoredDelivery {
  const event = parsed(body.toString().replace(/^\uFEFF/, ''));
  const { event_id: id, notif_type: type } = Object(event) as Record<string, unknown>;
  if (typeof id !== 'string' && typeof type !== 'string') {
    throw new CliError(`${place} is no delivery: it has neither an event_id nor a notif_type`);
  }
  return { place, body, eventId: typeof id === 'string' ? id : undefined };
}
