import crypto from 'node:crypto';

const blockBytes = 64;
const digestBytes = 32;

/** HMAC-SHA256 under one key. */
export interface Hmac {
  /** In hex, over the two parts one after the other. `head` is ASCII. */
  digest(head: string, body: Uint8Array): string;
}

/** Holds what is hashed, for as long as that takes: nothing else runs meanwhile. */
let scratch = Buffer.allocUnsafeSlow(4_096);

/**
 * HMAC as RFC 2104 has it, over the one-shot hash of Node 20.12 and later. `createHmac` makes a native object for
 * each delivery, and that is the largest part of what verifying costs, most of it in the garbage collector.
 */
class HashedHmac implements Hmac {
  /** The key's block for the inner hash, and for the outer one with room for the inner's digest. */
  readonly #inner: Buffer;
  readonly #outer: Buffer;

  constructor(secret: string) {
    const given = Buffer.from(secret);
    const key = given.length > blockBytes ? crypto.createHash('sha256').update(given).digest() : given;
    this.#inner = Buffer.alloc(blockBytes, 0x36);
    this.#outer = Buffer.alloc(blockBytes + digestBytes, 0x5c);
    for (let i = 0; i < key.length; i++) {
      this.#inner[i] = 0x36 ^ (key[i] as number);
      this.#outer[i] = 0x5c ^ (key[i] as number);
    }
  }

  digest(head: string, body: Uint8Array): string {
    const start = blockBytes + head.length;
    const end = start + body.length;
    if (scratch.length < end) scratch = Buffer.allocUnsafeSlow(2 * end);
    scratch.set(this.#inner);
    scratch.write(head, blockBytes, 'latin1');
    scratch.set(body, start);
    const inner = crypto.hash('sha256', scratch.subarray(0, end), 'hex');
    this.#outer.write(inner, blockBytes, 'hex');
    return crypto.hash('sha256', this.#outer, 'hex');
  }
}

class NativeHmac implements Hmac {
  readonly #secret: string;

  constructor(secret: string) {
    this.#secret = secret;
  }

  digest(head: string, body: Uint8Array): string {
    return crypto.createHmac('sha256', this.#secret).update(head).update(body).digest('hex');
  }
}

export function hmacWith(secret: string): Hmac {
  return typeof crypto.hash === 'function' ? new HashedHmac(secret) : new NativeHmac(secret);
}
