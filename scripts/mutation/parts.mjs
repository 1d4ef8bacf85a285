/**
 * What is mutated, and the tests that speak for it. Each part has few of them: a mutant that nobody notices takes them
 * all, and loading the frameworks takes longer than most tests. No part needs a Redis or a Postgres.
 *
 * @type {Readonly<Record<string, { mutate: readonly string[], tests: readonly string[], adapters?: string, testTimeout?: number }>>}
 */
export const parts = {
  answer: {
    mutate: ['src/contracts/answer.ts'],
    tests: ['test/adapters/answers.test.ts'],
  },
  'receive-signed': {
    mutate: [
      ...of('receive', ['signature', 'verify']),
      ...of('providers', [
        'body-hmac',
        'define-provider',
        'scheme',
        'standard-webhooks',
        'timestamped-hmac',
        'url-token',
      ]),
    ],
    tests: [
      'test/receive/{event,signature}.test.ts',
      'test/adapters/{answers,any-provider,providers,raw-body}.test.ts',
      'test/providers/define-provider.test.ts',
    ],
    // The one that may have a text for a raw body.
    adapters: 'Koa 3',
  },
  'receive-secrets': {
    mutate: of('receive', ['secrets']),
    tests: ['test/receive/secrets.test.ts'],
  },
  'receive-body': {
    mutate: of('receive', ['body', 'raw-body']),
    tests: ['test/adapters/{answers,raw-body}.test.ts'],
    adapters: 'Express 5,Koa 3',
  },
  'receive-web-body': {
    mutate: of('receive', ['web-body']),
    tests: ['test/adapters/{fetch,raw-body}.test.ts'],
    adapters: 'fetch on undici',
  },
  'receive-path': {
    mutate: of('receive', ['limit', 'path']),
    tests: ['test/adapters/{mounting,options}.test.ts'],
  },
  'forward-run': {
    mutate: of('forward', [
      'abandoned-claims',
      'core',
      'dispatch',
      'dispatcher',
      'drain',
      'failures',
      'guarded-store',
      'local-progress',
    ]),
    // What is traced of sinks is in test/diagnostics.test.ts, which would make this part take twice as long.
    tests: ['test/forward/*.test.ts'],
    // They wait for nothing real, and most mutants here are noticed by what never settles.
    testTimeout: 2_000,
  },
  'forward-sinks': {
    mutate: [...of('queue', ['envelope']), ...of('contracts', ['sink']), ...of('sinks', ['type-patterns', 'when'])],
    tests: [
      'test/queue/create-forwarder.test.ts',
      'test/forward/sink.test.ts',
      'test/sinks/{digest,providers}.test.ts',
    ],
  },
  'forward-memory': {
    mutate: of('stores/memory', ['memory-store']),
    tests: ['test/stores/memory/memory-store.test.ts'],
  },
  'forward-keys': {
    mutate: [...of('stores/memory', ['completed-keys']), ...of('util', ['key-map'])],
    tests: ['test/stores/memory/completed-keys.test.ts', 'test/util/key-map.test.ts'],
    // Half a million keys.
    testTimeout: 20_000,
  },
};

/** The part that this process is for, by its name in MUTATION_PART. */
export function part() {
  const name = process.env.MUTATION_PART ?? 'answer';
  const found = parts[name];
  if (found === undefined) throw new Error(`MUTATION_PART is none of ${Object.keys(parts).join(', ')}`);
  return { name, ...found };
}

function of(folder, names) {
  return names.map((name) => `src/${folder}/${name}.ts`);
}
