import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { chartOf } from './chart.mjs';
import { Child } from './child.mjs';
import { judge, quantile, tolerances } from './flat.mjs';
import { SinkStandIn } from './sinks.mjs';
import { SteadySender } from './steady-sender.mjs';

const results = new URL('results/', import.meta.url);
/** The service waits longer by default. Here what hangs shall have come and gone within the first quarter. */
const deadlineMs = 2_000;
/** So many, but none within a second of another: each has the service collect its garbage. */
const mostSamples = 120;

/** Services that are wrong in one way each, to see that the long run finds it. */
export const steadyWrongs = ['keeps each request', 'leaves a timer behind', 'gets slower'];

/** Delivers at a rate for so many milliseconds, and looks at the service's memory, handles and latency meanwhile. */
export async function steady({ rate, forMs, seed, wrong, onProgress = () => {} }) {
  const chat = await new SinkStandIn('slack', seed, {}).listen();
  const secret = randomBytes(16).toString('hex');
  const service = new Child('./steady-service.mjs', (life) => ({
    secret,
    deadlineMs,
    wrong,
    slackUrl: chat.urlFor(life),
  }));
  try {
    const url = `http://127.0.0.1:${await service.start()}`;
    const sender = new SteadySender({ url: `${url}/vast/webhooks`, secret, seed });
    let isOver = false;
    const sending = sender.send(rate, () => isOver);
    const series = await measure({ url, sender, chat, forMs, rate, onProgress });
    isOver = true;
    await sending;
    const { troubles, outcomes } = await figuresOf(url);
    const closed = await service.end(8_000);
    const judged = Object.fromEntries(
      Object.entries(tolerances).map(([name, tolerance]) => [name, judge(series[name], tolerance)]),
    );
    return {
      seed,
      rate,
      minutes: forMs / 60_000,
      sent: sender.sent,
      heldBack: sender.heldBack,
      outcomes,
      answers: sender.answers,
      series,
      judged,
      violations: [
        ...strained(sender),
        ...Object.entries(judged).flatMap(([name, { isFlat, growth, allowed }]) => {
          return isFlat
            ? []
            : [`${name} is not flat: it has grown by ${growth.toFixed(1)}, and ${allowed.toFixed(1)} is allowed`];
        }),
        ...new Set(sender.wrongs.map((answer) => `a wrong answer: ${answer}`)),
        ...new Set(troubles),
        ...service.crashes,
        ...(closed ? [] : ['the service did not close in time']),
      ],
    };
  } finally {
    await service.end(0);
    await chat.close();
  }
}

/** A service that has no time is not flat, and a machine that has none for it says nothing about it. */
function strained({ sent, heldBack, well, wellNotTaken }) {
  const per = (part, whole) => `${((100 * part) / Math.max(1, whole)).toFixed(1)} %`;
  return [
    ...(heldBack > 0.01 * sent
      ? [
          `${per(heldBack, sent + heldBack)} were held back, since service or machine does not keep up: try a lower --rate`,
        ]
      : []),
    ...(wellNotTaken > 0.01 * well ? [`${per(wellNotTaken, well)} of what nothing delays was not taken at once`] : []),
  ];
}

async function measure({ url, sender, chat, forMs, rate, onProgress }) {
  const series = Object.fromEntries(Object.keys(tolerances).map((name) => [name, []]));
  const samples = Math.min(mostSamples, Math.max(8, Math.floor(forMs / 1_000)));
  const startedAt = performance.now();
  for (let i = 1; i <= samples; i++) {
    await sleep(Math.max(0, startedAt + (i * forMs) / samples - performance.now()));
    const times = sender.takeTimes();
    const { heapUsed, rss, handles } = await figuresOf(url);
    series['heap after GC'].push(heapUsed / 1e6);
    series.RSS.push(rss / 1e6);
    series.handles.push(handles);
    series['p50 latency'].push(quantile(times, 0.5));
    series['p99 latency'].push(quantile(times, 0.99));
    // It notes everything that it got, for other checks.
    chat.receipts.length = 0;
    onProgress(
      `${i} of ${samples}: ${sender.sent} sent at ${rate} a second, heap ${(heapUsed / 1e6).toFixed(1)} MB, ${handles} handles`,
    );
  }
  return series;
}

async function figuresOf(url) {
  const response = await fetch(`${url}/measure`);
  return response.json();
}

/** The lines of the terminal. */
export function summaryOf({ rate, sent, heldBack, outcomes, answers, series, judged }) {
  return [
    `${sent} deliveries at ${rate} a second, ${heldBack} held back since too many were open, ${outcomes} outcomes`,
    Object.entries(answers)
      .sort()
      .map(([answer, count]) => `${answer}: ${count}`)
      .join(', '),
    ...Object.entries(tolerances).map(([name, { unit }]) => chartOf(name, unit, series[name], judged[name])),
  ].join('\n');
}

/** Writes all there is into a file of its own, and gives its path. */
export async function keep(report) {
  await mkdir(results, { recursive: true });
  const file = fileURLToPath(new URL(`steady-${report.seed}.json`, results));
  await writeFile(file, JSON.stringify(report));
  return file;
}
