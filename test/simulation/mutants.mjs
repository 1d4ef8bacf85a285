// The engine with one thing wrong in each, to see that the simulation finds it. The first ones take back what was mended.
const core = 'src/forward/core.ts';
const run = 'src/forward/dispatch.ts';
const forwarder = 'src/forward/dispatcher.ts';
const gatherer = 'src/sinks/batching/batcher.ts';
const catchUp = 'src/catch-up/catch-up.ts';
const state = 'src/catch-up/state.ts';
const one = (file, from, to) => [{ file, from, to }];

/** @type {Readonly<Record<string, readonly import('../fuzz/bundle.mjs').Change[]>>} */
export const mutants = {
  'point 6: a release that failed is not tried again': one(
    core,
    "      if (this.reply !== 'sent') this.#effects.report(held);\n      this.#replyAndRetry();",
    '      this.#end(this.#failure, false);',
  ),
  'point 6: a claim that failed is not released': one(
    run,
    'else abandoned.add(this.#key, this.#token, () => this.#leave(), this.#hold);',
    'else this.#leave();',
  ),
  'point 7: a renewal that failed waits for a third of the lease': one(
    core,
    'Math.min(renewAgainMs, this.#settings.leaseMs / 3)',
    'this.#settings.leaseMs / 3',
  ),
  'point 8: what sinks took is forgotten with the claim': one(
    core,
    '    if (!isCompleted) this.#effects.remember();\n',
    '',
  ),
  'point 8: sinks at work are forgotten with the claim': one(
    core,
    "if (this.lease === 'lost' && this.phase !== 'lingering' && this.sinks.includes('working')) {",
    'if (false) {',
  ),
  'point 9: a running event has no end': one(
    forwarder,
    'if (leftMs > 0) {',
    'if (leftMs > Number.NEGATIVE_INFINITY) {',
  ),
  'point 10: close() keeps nothing alive': one(
    'src/forward/drain.ts',
    'again = clock.timeout(() => {',
    'again = clock.unrefTimeout(() => {',
  ),
  'point 11: receivers share what they remember': one(
    'src/receivers.ts',
    '} else if (known.does === does) {',
    '} else if (true) {',
  ),
  'point 11: forwarders share what they remember': one(
    'src/queue/create-forwarder.ts',
    "registerReceiver('', settings)",
    "registerReceiver('', { ...settings, sinks: [] })",
  ),
  'a sink is delivered to again although it is recorded': one(
    run,
    "      if (delivered.includes(sink.name)) return 'already';\n",
    '',
  ),
  'the event is completed although a sink failed': one(
    core,
    'if (sinks.some(isFailed)) this.#release',
    'if (false) this.#release',
  ),
  'what a sink took is not recorded before the others settle': one(
    core,
    "if (this.handler !== 'none' || this.#storeError !== undefined || !sinks.every(isDone)) this.#record(sink);",
    '',
  ),
  'what a sink took is recorded under another name': one(
    run,
    'argument = (sinks[sink] as Sink<Event>).name;',
    "argument = '?'.concat((sinks[sink] as Sink<Event>).name);",
  ),
  'a record that failed is forgotten': one(
    core,
    "held === true ? 'recorded' : 'unrecorded'",
    "held === true ? 'recorded' : 'skipped'",
  ),
  'the deadline is never answered': one(
    core,
    "if (this.reply === 'due' && now >= this.#deadlineAt) this.#replyLate();",
    '',
  ),
  'it is answered at the deadline and again at the end': one(
    core,
    "const wasLate = this.reply === 'late';",
    'const wasLate = false;',
  ),
  'a deadline releases the claim': one(
    core,
    "    this.reply = 'late';\n",
    "    this.reply = 'late';\n    this.#effects.ask('release');\n",
  ),
  'a handler that failed completes the event': one(
    core,
    'if (status < 200 || status > 299) this',
    'if (status < 200 || status > 1_000) this',
  ),
  'a complete that failed is not tried again': one(
    core,
    '      if (!isAnswered) this.#failure = held;\n      this.#replyAndRetry();',
    '      if (!isAnswered) this.#failure = held;\n      this.#end(this.#failure, false);',
  ),
  'a lease is never renewed': one(core, 'now >= this.#renewAt && !this.#isRenewing', 'false'),
  'a lost claim goes unnoticed at its renewal': one(
    core,
    '    if (held === false) {\n      this.#lose();\n    } else if',
    '    if',
  ),
  'work has no end': one('src/contracts/sink.ts', 'maxWorkMs = 5 * 60_000;', 'maxWorkMs = 5 * 60_000_000;'),
  'a late claim is kept': one(
    run,
    "    if (result !== undefined && result.state !== 'acquired') return;",
    '    return;',
  ),
  'the process delivers to a sink that is at work': one(run, 'return Math.max(0, leftMs);', 'return 0;'),
  'a completed event is not a duplicate': one(
    run,
    "result.state === 'completed' ? duplicate :",
    "result.state === 'completed' ? { duplicate: false, error: inFlight(1) } :",
  ),
  'in flight is answered as a duplicate': one(
    run,
    'duplicate : { duplicate: false, error: inFlight(result.retryAfterMs) }',
    'duplicate : duplicate',
  ),
  'what is in flight is not counted out': one(run, '    this.#settings.drain.leave();\n', ''),
  'a digest does not wait for a sink when a claim is lost': one(
    'src/sinks/batching/batch.ts',
    'if (this.#isDelivering) this.#left.push(waiting);\n        else reject(reason);',
    'reject(reason);',
  ),
  'a window hangs on the timer of an isolate that has lost it': one(
    gatherer,
    'if (canWait || isHeld || work.attendedUntil <= now || work.dueAt <= now)',
    'if (work.attendedUntil <= now || work.dueAt <= now)',
  ),
  'a digest forgets what it failed to deliver': one(
    'src/sinks/batching/batch.ts',
    '    if (isAnswered || waiting.length > 0) return;',
    '    if (waiting.length > 0) return;',
  ),
  'a digest delivers while it is delivered': one(
    gatherer,
    '        await batch.delivered();\n',
    '        if (attempts > 1) await batch.delivered();\n',
  ),
  'a flush does not wait': one(
    gatherer,
    'await Promise.allSettled([...rounds.map(({ work }) => work.over()), this.#sink.flush?.()]);',
    'await Promise.allSettled([this.#sink.flush?.()]);',
  ),
  'a flush leaves the open window': one(
    gatherer,
    'const rounds = [...this.#rounds];',
    'const rounds = [...this.#rounds].filter((round) => round !== this.#open);',
  ),
  'a digest answers for what was not delivered': one(
    'src/sinks/batching/batch.ts',
    '          if (error === undefined) resolve();\n          else reject(error);',
    '          resolve();',
  ),
  'a digest delivers what it is given as taken without keeping it': one(
    'src/sinks/batching/batch.ts',
    '    entry.isAnswered = true;\n',
    '',
  ),
  'an outbox delivers a row to two at once': one(
    'src/outbox/outbox-table.ts',
    " AND state = 'due' AND due_at <= ? ORDER BY",
    " AND state = 'due' AND due_at <= ? + 1e9 ORDER BY",
  ),
  'an outbox forgets a row that failed': one(
    'src/outbox/outbox-table.ts',
    "const state = dueAt === undefined ? 'dead' : 'due';",
    "const state = 'told';",
  ),
  'an outbox answers before its commit': one(
    'src/stores/group-commit.ts',
    '    for (const write of failed) write.failed(error);',
    '    for (const write of failed) write.committed();',
  ),
  'an outbox never looks again': one(
    'src/outbox/sqlite-outbox.ts',
    'this.#timer = this.#clock.unrefTimeout(() => this.#poll()',
    'this.#timer = this.#clock.unrefTimeout(() => {}',
  ),
  'what is caught up has a key of its own': one(
    'src/catch-up/row.ts',
    '      id,\n',
    "      id: 'inbox-'.concat(id),\n",
  ),
  'what is caught up is delivered without a claim': one(
    'src/intake.ts',
    'dispatcher.forward(received, Number.POSITIVE_INFINITY, undefined, resolve);',
    `Promise.all(settings.sinks.map((sink) => sink.deliver(received.event, { delivery: received.delivery, signal: new AbortController().signal }))).then(
        () => resolve({ duplicate: false }),
        () => resolve({ duplicate: false, error: { code: 'sink_failed', status: 502 } as never }),
      );`,
  ),
  'rows are delivered before an id has been seen to agree': one(
    catchUp,
    'if (this.#trustIds || state.idsAgree) {',
    'if (true) {',
  ),
  'all rows are older than the first run': one(catchUp, 'at > state.since &&', 'at < state.since &&'),
  'what is older than the first run is delivered': one(catchUp, 'at > state.since &&', ''),
  'the first run is remembered by its process only': one(
    state,
    "for (const name of all.slice(delivered.length)) await this.#call('delivered', token, name);",
    '',
  ),
  'the first run moves on': one(state, 'known?.since ?? seen.since', 'seen.since').concat(
    one(state, 'Math.min(...times)', 'Math.max(...times)'),
  ),
  'a row whose delivery failed is done with': one(
    catchUp,
    "else if (error.code !== 'in_flight') this.#retryLater(id, sinks);",
    'else this.#completed.add(id);',
  ),
  'a row that is in flight is done with': one(
    catchUp,
    "else if (error.code !== 'in_flight') this.#retryLater(id, sinks);",
    "else if (error.code !== 'in_flight') this.#retryLater(id, sinks);\n      else this.#completed.add(id);",
  ),
  'catching up ends with the first failure of the inbox': one(
    catchUp,
    'if (!this.#ended.signal.aborted) this.#lookIn(waitMs);',
    'if (!this.#ended.signal.aborted && this.#failures === 0) this.#lookIn(waitMs);',
  ),
  'catching up goes on after close()': one(catchUp, '  closed(): void {\n    this.stop();', '  closed(): void {'),
};
