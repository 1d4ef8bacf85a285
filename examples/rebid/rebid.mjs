import { setTimeout as pause } from 'node:timers/promises';
import { detailsOf } from 'vast-webhook';

const hourMs = 3_600_000;
const monthMs = 30 * 24 * hourMs;

/**
 * Raises the bid of an outbid instance: once an event, and never over the ceiling. Each step is written to the database
 * before it is done, so that a crash at any place neither loses an outbid nor bids for it twice.
 * Prices are in dollars an hour. Where the event and the API are not enough to be certain, it leaves the bid alone.
 */
export function createRebid({
  db,
  api,
  ceiling,
  margin = 0.01, // prices in texts are rounded to cents, so that less may be too little
  say,
  waitMs = 60_000, // an instance that comes back by itself does so within a minute
  now = Date.now,
  sleep = (ms, signal) => pause(ms, undefined, { signal }).catch(() => {}),
  onError = console.error,
}) {
  const pollMs = waitMs / 12;
  const settleMs = waitMs / 2; // by then, a call that had no answer has its effect, or never will
  const closing = new AbortController();
  const running = new Set();
  const queues = new Map(); // for each instance its jobs, oldest first

  db.exec(`CREATE TABLE IF NOT EXISTS rebids (
    event TEXT PRIMARY KEY, instance INTEGER, toBeat REAL, received INTEGER NOT NULL,
    state TEXT NOT NULL, since INTEGER NOT NULL, own REAL, price REAL, report TEXT)`);
  db.prepare("DELETE FROM rebids WHERE state = 'done' AND received < ?").run(now() - monthMs);
  const insert = db.prepare(
    `INSERT INTO rebids (event, instance, toBeat, received, state, since, report) VALUES (?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT DO NOTHING`,
  );
  const update = db.prepare('UPDATE rebids SET state = ?, since = ?, own = ?, price = ?, report = ? WHERE event = ?');

  /** First the file, then the memory: if writing fails, the step is done again, from what is known for certain. */
  function save(job, changes) {
    const { state, since, own, price, report, event } = { ...job, since: now(), ...changes };
    update.run(state, since, own ?? null, price ?? null, report ?? null, event);
    Object.assign(job, { state, since, own, price, report });
  }

  const steps = {
    /** Nothing has been done. The API decides, because the order of notifications proves nothing. */
    async new(job) {
      if (now() - job.received > hourMs) return finish(job, 'The outbid is an hour old: look at it yourself');
      const instance = await api.instance(job.instance, { signal: closing.signal });
      const own = instance.dph_base;
      // What the prices of several GPUs mean has not been measured.
      if (!instance.is_bid || instance.num_gpus !== 1 || !Number.isFinite(own)) {
        return finish(job, 'It is not an interruptible instance of one GPU: look at it yourself');
      }
      if (isRunning(instance)) {
        // An outbid arrives before the instance stops, or after the competitor has gone.
        if (now() - job.since > waitMs) return finish(job, `It is running at its bid of ${dollars(own)}`);
        return sleep(pollMs, closing.signal);
      }
      if (!(job.toBeat > 0)) return finish(job, 'The text names no price to beat: look at it yourself');
      // Never from `min_bid` of the instance, which is 1.2 times the own bid: to follow it is a spiral.
      const price = Math.min(Math.ceil((job.toBeat + margin) * 1000 - 1e-6) / 1000, ceiling);
      if (price < job.toBeat) return finish(job, `That is over the ceiling of ${dollars(ceiling)}`);
      if (price < own + 0.001) return save(job, { state: 'waiting', own, price: null });
      save(job, { state: 'bidding', own, price });
      await bid(job);
    },

    /** The bid may have been set: there was a crash or no answer. Its effect is asked from the API before acting. */
    async bidding(job) {
      const leftMs = job.since + settleMs - now();
      if (leftMs > 0) return sleep(leftMs, closing.signal);
      const instance = await api.instance(job.instance, { signal: closing.signal });
      if (isSame(instance.dph_base, job.price)) return save(job, { state: 'waiting' });
      if (!isSame(instance.dph_base, job.own)) {
        return finish({ ...job, price: null }, `Somebody has set its bid to ${dollars(instance.dph_base)}`, job);
      }
      if (isRunning(instance)) return finish({ ...job, price: null }, `It is running at that bid`, job);
      save(job, {});
      await bid(job);
    },

    /** The bid is high enough for the price in the text. */
    async waiting(job, isOutbidAgain) {
      const instance = await api.instance(job.instance, { signal: closing.signal });
      if (isRunning(instance)) return finish(job, 'It is running again');
      if (isOutbidAgain()) return finish(job, 'It has been outbid again');
      if (now() - job.since < waitMs) return sleep(pollMs, closing.signal);
      save(job, { state: 'starting' });
      await start(job);
    },

    /** It may have been started. */
    async starting(job) {
      const leftMs = job.since + settleMs - now();
      if (leftMs > 0) return sleep(leftMs, closing.signal);
      const instance = await api.instance(job.instance, { signal: closing.signal });
      if (instance.intended_status === 'running') return save(job, { state: 'started' });
      save(job, {});
      await start(job);
    },

    async started(job, isOutbidAgain) {
      const instance = await api.instance(job.instance, { signal: closing.signal });
      if (isRunning(instance)) return finish(job, 'It did not come back by itself, was started, and is running again');
      if (isOutbidAgain()) return finish(job, 'It has been outbid again');
      if (now() - job.since < 2 * waitMs) return sleep(pollMs, closing.signal);
      finish(job, 'It was started and has not come back: look at it yourself');
    },
  };

  async function bid(job) {
    try {
      await api.setBid(job.instance, job.price);
    } catch (error) {
      if (error.inDoubt !== false) return; // the next step asks
      save(job, { state: 'new', own: null, price: null });
      throw error;
    }
    save(job, { state: 'waiting' });
  }

  async function start(job) {
    try {
      await api.startInstance(job.instance);
    } catch (error) {
      if (error.inDoubt !== false) return;
      throw error;
    }
    save(job, { state: 'started' });
  }

  function finish(shown, text, job = shown) {
    const { instance, toBeat, own, price } = shown;
    const raised = price ? ` The bid was raised from ${dollars(own)} to ${dollars(price)}.` : '';
    const beat = toBeat ? ` The price to beat is ${dollars(toBeat)}.` : '';
    save(job, { state: 'report', report: `Instance ${instance} was outbid.${beat}${raised} ${text}.` });
  }

  /** Works on a job until it is to be reported. */
  async function work(job, isOutbidAgain) {
    for (let failures = 0; steps[job.state] && !closing.signal.aborted; ) {
      try {
        await steps[job.state](job, isOutbidAgain);
        failures = 0;
      } catch (error) {
        if (closing.signal.aborted) return;
        const { status, code } = error;
        try {
          if (status === 404 || code === 'no_such_instance') finish(job, 'It is gone');
          else if (isFinal(status)) finish(job, `The API refuses: ${error.message}`);
          else if (now() - job.received > hourMs) finish(job, `The API cannot be used: ${error.message}`);
        } catch (error) {
          onError(error); // the disk is full, say: the step is done again
        }
        if (steps[job.state]) await sleep(Math.min(waitMs, pollMs * 2 ** failures++), closing.signal);
      }
    }
    if (job.state === 'report') track(report(job));
  }

  /** One after another for each instance, so that a bid is never lower than one before. */
  async function workOff(queue, instance) {
    for (; queue.length > 0 && !closing.signal.aborted; queue.shift()) await work(queue[0], () => queue.length > 1);
    queues.delete(instance);
  }

  async function report(job) {
    for (let failures = 0; failures < 10; failures++) {
      try {
        await say(job.report);
        return save(job, { state: 'done' });
      } catch (error) {
        onError(error);
      }
      if (closing.signal.aborted) return;
      await sleep(Math.min(hourMs, pollMs * 2 ** failures), closing.signal);
    }
    // It stays in the file, and is reported at the next start.
  }

  function add(job) {
    const queue = queues.get(job.instance);
    if (queue) return void queue.push(job);
    const first = [job];
    queues.set(job.instance, first);
    track(workOff(first, job.instance));
  }

  function track(work) {
    const tracked = work.catch(onError).finally(() => running.delete(tracked));
    running.add(tracked);
  }

  for (const row of db.prepare("SELECT * FROM rebids WHERE state <> 'done' ORDER BY rowid").all()) add({ ...row });

  return {
    /** Takes an event when it is in the file. A repeated delivery changes nothing. */
    sink: {
      name: 'rebid',
      accepts: (event) => event.notif_type === 'outbid',
      deliver(event, { delivery: { id } }) {
        const { instanceId: instance = null, minBid: toBeat = null } = detailsOf(event);
        const report = instance === null ? 'An outbid names no instance: look at it yourself.' : null;
        const job = {
          event: id,
          instance,
          toBeat,
          received: now(),
          state: report ? 'report' : 'new',
          since: now(),
          report,
        };
        const { changes } = insert.run(id, instance, toBeat, job.received, job.state, job.since, report);
        if (Number(changes) > 0) add(job);
      },
    },
    /** Waits for calls that run. What is not finished goes on at the next start. */
    async close() {
      closing.abort();
      while (running.size > 0) await Promise.all(running);
    },
  };
}

function isRunning({ actual_status: actual, intended_status: intended }) {
  return actual === 'running' && intended === 'running';
}

/** Prices differ by 0.001 at least, and an API may round. */
function isSame(price, other) {
  return Math.abs(price - other) < 0.0005;
}

function isFinal(status) {
  return status >= 400 && status < 500 && status !== 408 && status !== 429;
}

function dollars(price) {
  return `$${Number(price.toFixed(4))}/hr`;
}
