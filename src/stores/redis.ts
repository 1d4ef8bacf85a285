import { createHash } from 'node:crypto';
import type { ClaimResult, IdempotencyStore } from '../contracts/store.js';
import { aString, checkOptions } from '../util/check-options.js';
import { progressMs } from './sweep.js';

/** A client or cluster of ioredis 5 or 6, as far as it is used. */
export interface IoRedis {
  /** Runs a script by its SHA-1, for the keys and then the arguments. Rejects when the server does not know it. */
  evalsha(sha: string, numberOfKeys: number, ...args: string[]): Promise<unknown>;
  /** Runs a script by its source. */
  eval(script: string, numberOfKeys: number, ...args: string[]): Promise<unknown>;
}

/** A client, pool or cluster of node-redis 5 or 6, as far as it is used. */
export interface NodeRedis {
  /** Runs a script by its SHA-1. Rejects when the server does not know it. */
  evalSha(sha: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
  /** Runs a script by its source. */
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
}

/** What `redisStore` takes beside the client. */
export interface RedisStoreOptions {
  /** What every key begins with: `vast-webhook:`. */
  readonly prefix?: string;
}

/**
 * An idempotency store in Redis 6 or later, for any number of machines. Takes a client or cluster of ioredis or
 * node-redis. Throws a `TypeError` for anything else.
 */
export function redisStore(client: IoRedis | NodeRedis, options: RedisStoreOptions = {}): IdempotencyStore {
  checkOptions(options, { prefix: aString }, 'redisStore');
  return new RedisStore(runnerOf(client), options.prefix ?? 'vast-webhook:');
}

/** A Lua script, and the SHA-1 by which Redis knows it once it has seen it. */
interface Script {
  readonly source: string;
  readonly sha: string;
}

/*
 * A key an event, so that a cluster can spread them, and each operation is one script, which nothing interrupts.
 * Its value is `c` (completed), `r` and what was told (released), or `h`, the token's length, `:`, the token and what
 * was told (held). What was told is a list of JSON strings without its brackets, each with a comma behind it.
 * The lease is in the key's time to live, which is a day longer: no clock but Redis's own is asked.
 */
const scripts = {
  claim: script(`
    local value = redis.call('GET', KEYS[1])
    if value == 'c' then return 'c' end
    local told = ''
    if value then
      local length, at = string.match(value, '^h(%d+):()')
      if string.sub(value, 1, #ARGV[1]) == ARGV[1] then
        told = string.sub(value, #ARGV[1] + 1)
      elseif length then
        local lease = redis.call('PTTL', KEYS[1]) - ${progressMs}
        if lease > 0 then return 'h' .. lease end
        told = string.sub(value, at + length)
      elseif string.sub(value, 1, 2) == 'r"' then
        told = string.sub(value, 2)
      else
        return 'x'
      end
    end
    redis.call('SET', KEYS[1], ARGV[1] .. told, 'PX', ARGV[2])
    return 'a' .. told`),
  renew: heldScript("redis.call('PEXPIRE', KEYS[1], ARGV[2])"),
  delivered: heldScript("redis.call('APPEND', KEYS[1], ARGV[2])"),
  complete: heldScript("redis.call('SET', KEYS[1], 'c', 'PX', ARGV[2])"),
  release: heldScript(`
    local told = string.sub(value, #ARGV[1] + 1)
    if told == '' then redis.call('DEL', KEYS[1])
    else redis.call('SET', KEYS[1], 'r' .. told, 'PX', ARGV[2]) end`),
};

/** A script for the holder only: nobody else changes anything, and hears 0. */
function heldScript(body: string): Script {
  return script(`
    local value = redis.call('GET', KEYS[1])
    if not value or string.sub(value, 1, #ARGV[1]) ~= ARGV[1] then return 0 end
    ${body}
    return 1`);
}

function script(source: string): Script {
  return { source, sha: createHash('sha1').update(source).digest('hex') };
}

/** Runs a script on one key, whatever the client. `read` makes sense of its reply. */
type Run = <T>(script: Script, args: [key: string, ...args: string[]], read: (reply: string) => T) => Promise<T>;

function runnerOf(client: IoRedis | NodeRedis): Run {
  const call = callsOf(client);
  return ({ source, sha }, args, read) => {
    // Clients can be set to give buffers or texts for numbers.
    const understood = (reply: unknown) => read(String(reply));
    return call('sha', sha, args).then(understood, (error) => {
      if (!String(error?.message).startsWith('NOSCRIPT')) throw error;
      // Redis has not seen it yet, or has been restarted since.
      return call('source', source, args).then(understood);
    });
  };
}

type Call = (by: 'sha' | 'source', script: string, args: [key: string, ...args: string[]]) => Promise<unknown>;

function callsOf(client: IoRedis | NodeRedis): Call {
  if (typeof (client as NodeRedis)?.evalSha === 'function') {
    const redis = client as NodeRedis;
    return (by, script, [key, ...args]) =>
      redis[by === 'sha' ? 'evalSha' : 'eval'](script, { keys: [key], arguments: args });
  }
  if (typeof (client as IoRedis)?.evalsha === 'function') {
    const redis = client as IoRedis;
    return (by, script, args) => redis[by === 'sha' ? 'evalsha' : 'eval'](script, 1, ...args);
  }
  throw new TypeError('redisStore: client must be a client or cluster of ioredis or node-redis');
}

class RedisStore implements IdempotencyStore {
  readonly #run: Run;
  readonly #prefix: string;

  constructor(run: Run, prefix: string) {
    this.#run = run;
    this.#prefix = prefix;
  }

  claim(key: string, token: string, leaseMs: number): Promise<ClaimResult> {
    return this.#run(scripts.claim, this.#args(key, token, Math.ceil(leaseMs) + progressMs), claimResultOf);
  }

  renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    return this.#run(scripts.renew, this.#args(key, token, Math.ceil(leaseMs) + progressMs), isOne);
  }

  delivered(key: string, token: string, sink: string): Promise<boolean> {
    return this.#run(scripts.delivered, this.#args(key, token, `${JSON.stringify(sink)},`), isOne);
  }

  complete(key: string, token: string, ttlMs: number): Promise<boolean> {
    return this.#run(scripts.complete, this.#args(key, token, Math.ceil(ttlMs)), isOne);
  }

  release(key: string, token: string, ttlMs: number): Promise<boolean> {
    return this.#run(scripts.release, this.#args(key, token, Math.ceil(ttlMs)), isOne);
  }

  #args(key: string, token: string, argument: string | number): [string, ...string[]] {
    return [this.#prefix + key, holderOf(token), String(argument)];
  }
}

function claimResultOf(reply: string): ClaimResult {
  if (reply === 'a') return { state: 'acquired', delivered: [] };
  const rest = reply.slice(1);
  switch (reply[0]) {
    case 'a':
      return { state: 'acquired', delivered: [...new Set<string>(JSON.parse(`[${rest.slice(0, -1)}]`))] };
    case 'h':
      return { state: 'in_flight', retryAfterMs: Number(rest) };
    case 'c':
      return { state: 'completed' };
    default:
      throw new Error('the key of the event holds something else: give the store another prefix');
  }
}

function isOne(reply: string): boolean {
  return reply === '1';
}

/** What the value of a key that is held begins with. The length keeps a token from passing for a longer one. */
function holderOf(token: string): string {
  return `h${Buffer.byteLength(token)}:${token}`;
}
