/** A client that looks like one that a store takes, and would never work there. */
interface Lookalike {
  readonly what: string;
  /** The properties that only it has. */
  is(client: Properties): boolean;
  readonly cure: string;
  /** The store that it is for, if there is one. */
  readonly owner?: string;
}

type Properties = Readonly<Record<string, unknown>>;

const isFunction = (value: unknown): boolean => typeof value === 'function';

const lookalikes: readonly Lookalike[] = [
  {
    what: 'a D1 database',
    is: (client) => isFunction(client.prepare) && isFunction(client.batch) && !isFunction(client.transaction),
    cure: 'use d1Store(db)',
    owner: 'd1Store',
  },
  {
    what: 'the storage of a Durable Object',
    is: ({ sql, exec, prepare, databaseSize }) =>
      isFunction(Object(sql).exec) || (isFunction(exec) && !isFunction(prepare) && databaseSize !== undefined),
    cure: 'use durableObjectStore(ctx.storage)',
    owner: 'durableObjectStore',
  },
  {
    what: 'a Workers KV namespace',
    is: (client) => isFunction(client.getWithMetadata),
    cure: 'KV has no atomic step, so that an event would count more than once: use d1Store or durableObjectStore',
  },
  {
    what: 'a client of @upstash/redis',
    is: (client) => isFunction(client.createScript) && isFunction(client.evalsha),
    cure: 'its methods take other arguments: use ioredis or node-redis with the rediss:// address, or on Workers d1Store',
  },
  {
    what: 'a client of node-redis 3',
    is: (client) => isFunction(client.internal_send_command),
    cure: 'it answers by callbacks: use node-redis 5 or later, or ioredis',
  },
  {
    what: 'a node-redis client in legacy mode',
    is: ({ options, evalSha, sendCommand, connect }) =>
      Object(options).legacyMode === true || (isFunction(evalSha) && isFunction(sendCommand) && !isFunction(connect)),
    cure: 'it answers by callbacks: give the client without legacyMode or legacy()',
  },
  {
    what: 'a function, such as those of Neon and of postgres.js',
    is: (client) => isFunction(client) && !isFunction(client.connect),
    cure: 'it takes other arguments: use a Pool of @neondatabase/serverless or of pg',
  },
  {
    what: 'a PGlite database',
    is: (client) => 'waitReady' in client,
    cure: 'its query() takes other arguments: use a pool of pg, or sqliteStore if one process is enough',
  },
  {
    what: 'a database of pg-promise',
    is: (client) => isFunction(Object(client.$pool).query),
    cure: 'its query() gives rows only: give its pool, postgresStore(db.$pool)',
  },
];

/** Throws a `TypeError` unless the client has the right form. It names a lookalike, and what to use in its place. */
export function checkClient(owner: string, client: unknown, isRight: boolean, form: string): void {
  const properties = Object(client) as Properties;
  const lookalike = lookalikes.find((known) => known.owner !== owner && known.is(properties));
  if (lookalike !== undefined) throw new TypeError(`${owner}: this is ${lookalike.what}: ${lookalike.cure}`);
  if (!isRight) throw new TypeError(`${owner}: ${form}`);
}
