/** Each case of the suite finds the fault that it is for. */
import { describe, expect, it } from 'vitest';
import { type Sink, SinkError } from '../../src/index.js';
import { chatSink, cut } from '../../src/sinks/kit.js';
import { type ConformingSinkOptions, sinkConformance } from '../../src/testing/index.js';
import { inFakeTime } from '../support/in-fake-time.js';

type Make = (options: ConformingSinkOptions) => Sink<object>;
type Deliver = Sink<object>['deliver'];

const url = 'https://chat.example/hooks/secret4711Token';
const standIn = {
  success: { status: 200, body: '{"ok":true}' },
  judge: ({ body }: { body: string }) => (JSON.parse(body).text.length > 2_000 ? 'too long' : undefined),
};

const sound: Make = (options) =>
  chatSink({
    name: 'sound',
    url,
    message: ({ title, text }) => ({ text: cut(`${title}\n${text}`, 2_000) }),
    ...options,
  });

/** A sink whose delivery goes wrong. */
const faulty =
  (deliver: (good: Sink<object>, options: ConformingSinkOptions) => Deliver): Make =>
  (options) => {
    const good = sound(options);
    return { name: good.name, deliver: deliver(good, options) };
  };

/** A sink whose errors are wrong. */
const failingWith = (change: (error: SinkError) => unknown) =>
  faulty((good) => async (event, context) => {
    try {
      await good.deliver(event, context);
    } catch (error) {
      throw change(error as SinkError);
    }
  });

/** A sink whose fetch does something else to the request or the answer. */
const fetching =
  (change: (send: typeof fetch) => typeof fetch): Make =>
  (options) =>
    sound({ ...options, fetch: change(options.fetch) });

const faults: Readonly<Record<string, Make>> = {
  'delivers an event of each type with one request that the service takes': faulty((good) => async (event, context) => {
    await good.deliver(event, context);
    await good.deliver(event, context);
  }),
  'delivers texts of any kind': (options) =>
    chatSink({ name: 'sound', url, message: ({ title, text }) => ({ text: title + text }), ...options }),
  'delivers odd events, and those of other senders': faulty((good) => async (event, context) => {
    (event as { subject: string }).subject.trim();
    await good.deliver(event, context);
  }),
  'has delivered once the service has taken it, whatever becomes of the answer': faulty((_, options) => async () => {
    const response = await options.fetch(url, { method: 'POST', body: '{"text":""}' });
    await response.text();
  }),
  'fails, to be tried again, on 408, 429 and 5xx': failingWith(
    ({ message, status }) => new SinkError(message, { status, permanent: true }),
  ),
  'fails for good on other 4xx': failingWith(({ message, status }) => new SinkError(message, { status })),
  'passes Retry-After on, in seconds and as a date': failingWith(
    ({ message, status, permanent }) => new SinkError(message, { status, permanent }),
  ),
  'follows no redirect': fetching((send) => (input, init) => send(input, { ...init, redirect: 'follow' })),
  'fails, to be tried again, when there is no answer in time': faulty((good) => async (event, context) => {
    await Promise.resolve(good.deliver(event, context)).catch(() => {});
  }),
  'fails with the status when the body of a refusal never ends': failingWith(({ message }) => new SinkError(message)),
  'fails, to be tried again, when its signal is aborted: before, nothing is sent': faulty(
    (good) => async (event, context) => good.deliver(event, { ...context, signal: new AbortController().signal }),
  ),
  'fails, to be tried again, when the service cannot be reached, and has no secret in its error': failingWith(
    (error) => new SinkError(`POST ${url}: ${error.message}`),
  ),
  'has no secret in its error when the answer repeats them': faulty((_, options) => async () => {
    const response = await options.fetch(url, { method: 'POST', redirect: 'manual', body: '{"text":""}' });
    if (!response.ok) throw new SinkError(`refused: ${await response.text()}`, { permanent: true });
  }),
  'delivers many events at once, each with its request': faulty((good) => {
    let busy = false;
    return async (event, context) => {
      if (busy) return;
      busy = true;
      await Promise.resolve(good.deliver(event, context)).finally(() => {
        busy = false;
      });
    };
  }),
  'leaves no listener on the signal': faulty((good) => async (event, context) => {
    context.signal.addEventListener('abort', () => {});
    await good.deliver(event, context);
  }),
  'leaves no rejection unhandled': fetching((send) => (input, init) => {
    const response = send(input, init);
    response.then(() => {});
    return response;
  }),
  'has a name that stays, and takes another': (options) => sound({ ...options, name: String(Math.random()) }),
};

const cases = new Map(sinkConformance(sound as never, standIn).map(({ name, run }) => [name, run]));

describe('sinkConformance', () => {
  it('has a fault here for each of its cases', () => {
    expect(Object.keys(faults)).toEqual([...cases.keys()]);
  });

  it.each([...cases])('a sound sink: %s', async (_name, run) => {
    await inFakeTime(run);
  });

  it.each(Object.entries(faults))('finds a sink that does not: %s', async (name, makeSink) => {
    const found = sinkConformance(makeSink as never, standIn).find((each) => each.name === name);
    const error = await inFakeTime(async () => found?.run()).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Error);
    expect(String(error)).not.toContain('AssertionError');
  });
});
