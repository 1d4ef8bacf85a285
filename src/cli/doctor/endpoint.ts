import { randomBytes } from 'node:crypto';
import { sampleEvent, signedDelivery } from 'vast-webhook/testing';
import { toleranceSeconds } from './clock.js';
import { type Finding, ok, problem, skipped } from './finding.js';
import { type Probed, type ProbeOptions, probe } from './probe.js';
import { obstacleIn, ownCode } from './unreachable.js';

export interface EndpointQuestion extends ProbeOptions {
  readonly url: URL;
  /** Left out: what needs a signature is skipped. */
  readonly secret?: string;
}

const senderGivesUpMs = 10_000;

/** Gives what it finds as it finds it, and in the end the endpoint's clock minus this one, where it is known. */
export async function* examine(question: EndpointQuestion): AsyncGenerator<Finding, number | undefined> {
  const { url, secret } = question;
  const send = (delivery: { body: string; headers: Readonly<Record<string, string>> }) =>
    probe(url, delivery, question);

  const { body } = sample(randomBytes(32).toString('hex'));
  const unsigned = await send({ body, headers: { 'Content-Type': 'application/json' } });
  const { skewSeconds } = unsigned;
  const obstacle = obstacleIn(url, unsigned);
  const steps = ['reach', 'redirect', 'proxy'];
  for (const step of steps) {
    if (obstacle?.check === step) break;
    yield ok(step, passed[step as keyof typeof passed]);
  }
  if (obstacle) {
    yield obstacle;
    const rest = [...steps.slice(steps.indexOf(obstacle.check) + 1), 'unsigned', 'forged', 'signed', 'duplicate'];
    for (const check of rest) yield skipped(check, `not before ${obstacle.check} is mended`);
    return skewSeconds;
  }
  yield judgeRefusal('unsigned', 'a delivery without a signature', unsigned);
  yield judgeRefusal(
    'forged',
    'a delivery signed with another secret',
    await send(sample(randomBytes(32).toString('hex'))),
  );
  if (secret === undefined) {
    yield skipped('signed', 'there is no secret to sign with');
    yield skipped('duplicate', 'there is no secret to sign with');
    return skewSeconds;
  }
  const delivery = sample(secret);
  const signed = await send(delivery);
  const finding = obstacleIn(url, signed) ?? (await judgeSigned(signed, question, skewSeconds));
  yield { ...finding, check: 'signed' };
  if (finding.status === 'ok') yield judgeDuplicate(await send(delivery));
  else yield skipped('duplicate', 'not before signed is mended');
  return skewSeconds;
}

const passed = {
  reach: 'it answers',
  redirect: 'it does not redirect',
  proxy: 'nothing in front of the service refuses',
} as const;

function sample(secret: string, timestamp?: number) {
  return signedDelivery(sampleEvent('webhook_test'), secret, { timestamp });
}

function judgeRefusal(check: string, what: string, { status, body, failure }: Probed): Finding {
  const code = ownCode(body);
  if (status === 401) return ok(check, `${what} gets 401`);
  if (status === 400 || status === 403) return ok(check, `${what} is refused with ${status} (401 is usual)`);
  // It may not load newer secrets yet, so it does not know.
  if (check === 'forged' && code === 'secret_unavailable') return ok(check, `${what} is not taken (503 ${code})`);
  if (status >= 200 && status < 300) {
    return problem(
      check,
      `${what} gets ${status}: everybody who knows the URL can send events`,
      'verify the signature before anything else: app.use(vastWebhook(secret)), and no handler of the path before it',
    );
  }
  const [detail, cure] = codes[code ?? ''] ?? [
    'the service fails before it verifies',
    'look at its log: the signature must be verified before anything else',
  ];
  return problem(check, `${what} gets ${status || failure}${code ? ` ${code}` : ''}: ${detail}`, cure);
}

/** Why this package did not take a genuine delivery, by the code in its answer. */
const codes: Readonly<Record<string, readonly [detail: string, cure: string]>> = {
  method_not_allowed: ['something has turned the POST into another method', 'look at the proxy in front'],
  payload_too_large: ['its limit is below the size of an event', 'raise the option limit: 64kb is the default'],
  unsupported_encoding: ['a proxy compresses requests', 'turn that off: the signature is over the bytes as sent'],
  body_timeout: ['the body did not arrive in time', 'look at the proxy in front: it holds bodies back'],
  raw_body_unavailable: [
    'a body parser runs before the middleware',
    'put the middleware before it, or keep the bytes: express.json({ verify: keepRawBody })',
  ],
  internal: ['it has failed with an unexpected error', 'look at its log: the outcome has the error'],
  sink_failed: ['a sink has failed', 'look at the log: the outcome has the error of each sink (its URL, its token)'],
  in_flight: ['the same event is being processed', 'look for a handler that never answers: a forgotten res.end()'],
  store_unavailable: ['the store fails or is slow', 'look whether it runs, and at storeTimeoutMs'],
  secret_unavailable: [
    'the function for the secret fails, or gave no secret that matches less than 10 s ago',
    'look at the log, and compare the secret',
  ],
  closing: ['it is shutting down', 'start it again'],
  handler_failed: [
    'the handler behind the middleware did not take it',
    'add a handler for the path that answers 2xx, or give sinks',
  ],
  deadline_exceeded: [
    'its sinks take longer than deadlineMs',
    'put a queue in between: sqliteOutbox or bullmq, so that the answer goes out at once',
  ],
};

async function judgeSigned(signed: Probed, question: EndpointQuestion, skewSeconds = 0): Promise<Finding> {
  const { status, body, ms } = signed;
  const took = `${(ms / 1000).toFixed(ms < 1000 ? 3 : 1)} s`;
  if (status >= 200 && status < 300) {
    if (ms <= senderGivesUpMs) return ok('signed', `a signed delivery gets ${status} in ${took}`);
    return problem(
      'signed',
      `a signed delivery gets ${status} only after ${took}, and the sender gives up at 10 s`,
      'answer at once and do the work later: an outbox or a queue as the sink',
    );
  }
  const code = ownCode(body);
  if (status === 401 || status === 403) return judgeMismatch(status, question, skewSeconds);
  const [detail, cure] = codes[code ?? ''] ?? [
    'the service does not take it',
    status >= 500 ? 'look at its log' : 'look at its log: the sender drops an event for good after this status',
  ];
  return problem(
    'signed',
    `a signed delivery gets ${status}${code ? ` ${code}` : ''}${failedSinks(body)}: ${detail}`,
    cure,
  );
}

/** Which sinks failed is in the answer, by name. */
function failedSinks(body: string): string {
  const { sinks } = JSON.parse(ownCode(body) ? body : '{}') as { sinks?: unknown };
  if (typeof sinks !== 'object' || sinks === null) return '';
  return ` (${Object.entries(sinks)
    .map(([name, failure]) => `${name}: ${failure}`)
    .join(', ')})`;
}

/** A signed event was refused: because of the clock or the secret? Signing by the endpoint's clock shows which. */
async function judgeMismatch(status: number, question: EndpointQuestion, skewSeconds: number): Promise<Finding> {
  const { url, secret = '' } = question;
  if (Math.abs(skewSeconds) >= toleranceSeconds - 1) {
    const timestamp = Math.floor(Date.now() / 1000) + skewSeconds;
    const again = await probe(url, sample(secret, timestamp), question);
    if (again.status >= 200 && again.status < 300) {
      return problem(
        'signed',
        `a signed delivery gets ${status}, and 2xx when it is signed by the endpoint's clock, which is ${Math.abs(skewSeconds)} s ${skewSeconds > 0 ? 'ahead' : 'behind'}`,
        'set both clocks by NTP (timedatectl set-ntp true)',
      );
    }
  }
  return problem(
    'signed',
    `a signed delivery gets ${status}: the endpoint has another secret, or verifies something else than the raw bytes`,
    'give the service the secret that is here and restart it; it is shown only when a webhook is created or its secret rotated',
  );
}

function judgeDuplicate({ status, body, failure }: Probed): Finding {
  if (status >= 200 && status < 300) return ok('duplicate', `the same event once more gets ${status}`);
  const code = ownCode(body);
  return problem(
    'duplicate',
    `the same event once more gets ${status || failure}${code ? ` ${code}` : ''}, and the sender counts it as failed`,
    'answer 2xx to an event that has been taken before: it is delivered at least once',
  );
}
