/** The other end of remote-store.ts, in the process that has the store. */
import type { IdempotencyStore } from '../../src/contracts/store.js';
import type { MadeStore } from './remote-store.js';

export interface Request {
  readonly id: number;
  readonly operation: 'make' | 'close' | keyof IdempotencyStore;
  readonly args: readonly unknown[];
}

export interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: unknown;
}

/** Makes the store that it is asked for, and asks it on. */
export function serve(make: (args: never) => MadeStore | Promise<MadeStore>): void {
  let made: MadeStore | undefined;

  async function carryOut({ operation, args }: Request): Promise<unknown> {
    if (operation === 'make') {
      made = await make(args[0] as never);
      return;
    }
    if (made === undefined) throw new Error(`there is no store to ${operation}`);
    if (operation === 'close') {
      await made.close?.();
      return;
    }
    const [key, token, argument] = args as [string, string, never];
    return made.store[operation](key, token, argument);
  }

  process.on('message', async (request: Request) => {
    const { id } = request;
    const answer: Answer = await carryOut(request).then(
      (value) => ({ id, value }),
      (error) => ({ id, error }),
    );
    process.send?.(answer);
  });
  process.on('disconnect', () => process.exit());
}
