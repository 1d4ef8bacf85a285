// The engine with one thing wrong in each, to see that the simulation finds it. The first ones take back what was mended.
const claim = 'src/forward/claim.ts';
const run = 'src/forward/run.ts';
const forwarder = 'src/forward/forwarder.ts';
const gatherer = 'src/sinks/gatherer.ts';
const lane = 'src/outbox/lane.ts';
const one = (file, from, to) => [{ file, from, to }];

/** @type {Readonly<Record<string, readonly import('../fuzz/bundle.mjs').Change[]>>} */
export const mutants = {
  'point 6: a release that failed is not tried again': one(
    run,
    'fail: () => this.#answerAndPersist(error, none) });',
    'fail: () => this.#end(error) });',
  ),
  'point 6: a claim that failed is not released': one(
    claim,
    '        this.#releaseAbandoned(over);\n      },\n      late',
    '        over();\n      },\n      late',
  ),
  'point 7: a renewal that failed waits for a third of the lease': one(
    claim,
    'Math.min(renewAgainMs, leaseMs / 3)',
    'leaseMs / 3',
  ),
  'point 8: what sinks took is forgotten with the claim': one(
    run,
    '  #leaveNow(): void {\n    this.remember();',
    '  #leaveNow(): void {',
  ),
  'point 8: sinks at work are forgotten with the claim': one(
    run,
    "if (this.#claim.end === 'lost' && this.#atWork > 0) {",
    'if (false) {',
  ),
  'point 9: a running event has no end': one(
    forwarder,
    'if (leftMs > 0) {',
    'if (leftMs > Number.NEGATIVE_INFINITY) {',
  ),
  'point 10: close() keeps nothing alive': one(
    'src/forward/in-flight.ts',
    'again = clock.timeout(() => {',
    'again = clock.unrefTimeout(() => {',
  ),
  'point 11: receivers share what they remember': one(
    'src/receivers.ts',
    '} else if (known.does === does) {',
    '} else if (true) {',
  ),
  'a sink is delivered to again although it is recorded': one(
    run,
    'told.includes(sink.name) || this.#unrecorded',
    'this.#unrecorded',
  ),
  'the event is completed although a sink failed': one(
    run,
    'return this.#failed > 0 ? sinkFailed(this.#results) : undefined;',
    'return undefined;',
  ),
  'the last sink that succeeds completes the event': one(
    run,
    'this.#recording === 0 && this.#failed === 0 && !this.#storeError;',
    'this.#recording === 0 && !this.#storeError;',
  ),
  'what a sink took is not recorded before the others settle': one(
    run,
    '    this.#claim.delivered(sink.name, {\n      ok: recorded,',
    '    this.#claim.delivered(`${sink.name}?`, {\n      ok: recorded,',
  ),
  'a record that failed is forgotten': one(run, '        this.#unrecorded = [...this.#unrecorded, sink.name];\n', ''),
  'the deadline is never answered': one(run, '() => this.#answerLate()', '() => {}'),
  'it is answered at the deadline and again at the end': one(
    run,
    'if (this.#late) this.#reportFailures(error);\n    else this.#done',
    'this.#done',
  ),
  'a deadline releases the claim': one(
    run,
    '    this.#late = true;\n',
    '    this.#late = true;\n    this.#claim.release({ ok() {}, fail() {} });\n',
  ),
  'a handler that failed completes the event': one(
    run,
    'if (status < 200 || status > 299) {',
    'if (status < 200 || status > 1_000) {',
  ),
  'a complete that failed is not tried again': one(
    run,
    "      fail: (error) => this.#answerAndPersist(error, 'completed'),\n    });\n  }\n\n  #handOn",
    '      fail: (error) => this.#end(error),\n    });\n  }\n\n  #handOn',
  ),
  'a lease is never renewed': one(claim, '() => this.#renew(), Math.max(0, wait)', '() => {}, Math.max(0, wait)'),
  'a lost claim goes unnoticed at its renewal': one(
    claim,
    "        } else {\n          this.#over('lost');\n        }",
    '        }',
  ),
  'work has no end': one(claim, 'const maxWorkMs = 5 * 60_000;', 'const maxWorkMs = 5 * 60_000_000;'),
  'a late claim is kept': one(
    claim,
    "        if (result !== undefined && result.state !== 'acquired') return;",
    '        return;',
  ),
  'the process delivers to a sink that is at work': one(forwarder, 'if (leftMs > 0) {', 'if (leftMs > 1e9) {'),
  'a completed event is not a duplicate': one(forwarder, 'done(duplicate);', 'done(inFlight(1));'),
  'in flight is answered as a duplicate': one(forwarder, 'done(inFlight(result.retryAfterMs));', 'done(duplicate);'),
  'what is in flight is not counted out': one(
    forwarder,
    '    const leave = () => {\n      settings.inFlight.leave();',
    '    const leave = () => {',
  ),
  'a digest forgets what it failed to deliver': one(
    'src/sinks/batch.ts',
    '    if (!isTaken && waiting.size === 0)',
    '    if (waiting.size === 0)',
  ),
  'a digest delivers while it is delivered': one(
    gatherer,
    '        batch.told();\n',
    '        if (attempts > 1) batch.told();\n',
  ),
  'a flush does not wait': one(
    gatherer,
    'await Promise.allSettled([...this.#telling, this.#sink.flush?.()]);',
    'await Promise.allSettled([this.#sink.flush?.()]);',
  ),
  'a flush leaves the open window': one(
    gatherer,
    '    this.#flushes++;\n    this.#close();\n',
    '    this.#flushes++;\n',
  ),
  'a digest answers for what was not delivered': one(
    'src/sinks/batch.ts',
    '          if (error === undefined) resolve();\n          else reject(error);',
    '          resolve();',
  ),
  'a digest delivers what it is given as taken without keeping it': one(
    'src/sinks/batch.ts',
    '    entry.isTaken = true;\n',
    '',
  ),
  'an outbox delivers a row to two at once': one(
    'src/outbox/outbox-table.ts',
    " AND state = 'due' AND due_at <= ?`",
    " AND state = 'due' AND due_at <= ? + 1e9`",
  ),
  'an outbox forgets a row that failed': one(
    'src/outbox/outbox-table.ts',
    "const state = dueAt === undefined ? 'dead' : 'due';",
    "const state = 'told';",
  ),
  'an outbox answers before its commit': one(
    'src/outbox/group-commit.ts',
    '      for (const write of writes) write.failed(error);',
    '      for (const write of writes) write.committed();',
  ),
  'an outbox never looks again': one(
    'src/outbox/sqlite-outbox.ts',
    'this.#timer = this.#clock.unrefTimeout(() => this.#turn()',
    'this.#timer = this.#clock.unrefTimeout(() => {}',
  ),
  'an outbox forgets which rows it is at': one(
    lane,
    'return !this.#atWork.has(key) && (this.#held',
    'return (this.#held',
  ),
};
