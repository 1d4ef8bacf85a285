import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import type { ClaimResult, IdempotencyStore } from '../contracts/store.js';
import { aString, checkOptions } from '../util/check-options.js';
import { checkClient } from './lookalikes.js';
import { progressTtlMs } from './sweep.js';

/** The part of an ioredis 5 or 6 client or cluster, or of a `Bun.RedisClient`, that is used here. */
export interface IoRedis {
  /** Runs a script by its SHA-1 with keys, then arguments. Rejects if the server does not know the script. */
  evalsha(sha: string, numberOfKeys: number, ...args: string[]): Promise<unknown>;
  /** Runs a script by its source. */
  eval(script: string, numberOfKeys: number, ...args: string[]): Promise<unknown>;
}

/** The part of a node-redis 5 or 6 client, pool or cluster that is used here. */
export interface NodeRedis {
  /** Runs a script by its SHA-1. Rejects if the server does not know the script. */
  evalSha(sha: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
  /** Runs a script by its source. */
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
}

/** Options of `redisStore`. */
export interface RedisStoreOptions {
  /** Prefix of every key. Default: `vast-webhook:`. */
  readonly prefix?: string;
}

/**
 * An idempotency store in Redis 6 or later, for any number of machines. `client` is a client or cluster of ioredis or
 * node-redis, or a `Bun.RedisClient`. Throws a `TypeError` for another `client` or an invalid option.
 */
export function redisStore(client: IoRedis | NodeRedis, options: RedisStoreOptions = {}): IdempotencyStore {
  checkOptions(options, { prefix: aString }, 'redisStore');
  const isRight = [(client as NodeRedis)?.evalSha, (client as IoRedis)?.evalsha].some(
    (run) => typeof run === 'function',
  );
  checkClient('redisStore', client, isRight, 'client must be a client or cluster of ioredis or node-redis');
  return new RedisStore(runnerOf(client), options.prefix ?? 'vast-webhook:');
}

/** A Lua script, and its SHA-1, by which Redis finds a script that it has run before. */
interface Script {
  readonly source: string;
  readonly sha: string;
}

/*
 * One key per event, so that a cluster can distribute them. Each operation is one script, so that it is atomic.
 * The value is one of:
 *   completed: `c`
 *   released: `r`, then the delivered sinks
 *   claimed: `h`, the token's length, `:`, the token, then the delivered sinks
 * The delivered sinks are JSON strings, each followed by a comma.
 * The key's time to live is the lease plus one day. So only the clock of Redis counts.
 */
const scripts = {
  claim: script(`
    local value = redis.call('GET', KEYS[1])
    if value == 'c' then return 'c' end
    local delivered = ''
    if value then
      local length, at = string.match(value, '^h(%d+):()')
      if string.sub(value, 1, #ARGV[1]) == ARGV[1] then
        delivered = string.sub(value, #ARGV[1] + 1)
      elseif length then
        local lease = redis.call('PTTL', KEYS[1]) - ${progressTtlMs}
        if lease > 0 then return 'h' .. lease end
        delivered = string.sub(value, at + length)
      elseif string.sub(value, 1, 2) == 'r"' then
        delivered = string.sub(value, 2)
      else
        return 'x'
      end
    end
    redis.call('SET', KEYS[1], ARGV[1] .. delivered, 'PX', ARGV[2])
    return 'a' .. delivered`),
  renew: heldScript("redis.call('PEXPIRE', KEYS[1], ARGV[2])"),
  delivered: heldScript("redis.call('APPEND', KEYS[1], ARGV[2])"),
  complete: heldScript("redis.call('SET', KEYS[1], 'c', 'PX', ARGV[2])"),
  release: heldScript(`
    local delivered = string.sub(value, #ARGV[1] + 1)
    if delivered == '' then redis.call('DEL', KEYS[1])
    else redis.call('SET', KEYS[1], 'r' .. delivered, 'PX', ARGV[2]) end`),
};

/** A script that returns 0 and changes nothing unless the token holds the lease. */
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

/** Runs a script on one key with either client. `read` converts its reply. */
type Run = <T>(script: Script, args: [key: string, ...args: string[]], read: (reply: string) => T) => Promise<T>;

function runnerOf(client: IoRedis | NodeRedis): Run {
  const call = callsOf(client);
  return ({ source, sha }, args, read) => {
    // A client may be configured to return buffers, or strings for numbers.
    const readReply = (reply: unknown) => read(String(reply));
    return call('sha', sha, args).then(readReply, (error) => {
      if (!String(error?.message).startsWith('NOSCRIPT')) throw error;
      // Redis has not run this script yet, or has restarted since.
      return call('source', source, args).then(readReply);
    });
  };
}

type Call = (by: 'sha' | 'source', script: string, args: [key: string, ...args: string[]]) => Promise<unknown>;

function callsOf(client: IoRedis | NodeRedis): Call {
  if (typeof (client as NodeRedis).evalSha === 'function') {
    const redis = client as NodeRedis;
    return (by, script, [key, ...args]) =>
      redis[by === 'sha' ? 'evalSha' : 'eval'](script, { keys: [key], arguments: args });
  }
  const redis = client as IoRedis;
  return (by, script, args) => redis[by === 'sha' ? 'evalsha' : 'eval'](script, 1, ...args);
}

class RedisStore implements IdempotencyStore {
  readonly #run: Run;
  readonly #prefix: string;

  constructor(run: Run, prefix: string) {
    this.#run = run;
    this.#prefix = prefix;
  }

  claim(key: string, token: string, leaseMs: number): Promise<ClaimResult> {
    return this.#run(scripts.claim, this.#args(key, token, Math.ceil(leaseMs) + progressTtlMs), claimResultOf);
  }

  renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    return this.#run(scripts.renew, this.#args(key, token, Math.ceil(leaseMs) + progressTtlMs), isOne);
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
      throw new Error('the key of the event has a value that this store did not write: choose another prefix');
  }
}

function isOne(reply: string): boolean {
  return reply === '1';
}

/** The beginning of a claimed key's value. The length is there, so that no token matches a longer one. */
function holderOf(token: string): string {
  return `h${Buffer.byteLength(token)}:${token}`;
}
