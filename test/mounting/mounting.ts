import type { RequestListener } from 'node:http';
import type { Random } from './random.js';

/** The parts of a random mounting, which are the same for every framework. */
export interface Observer {
  /** The guarded handler, which records what the middleware left for it, and answers 204. */
  handled(vast: unknown): void;
}

/** A service with the middleware in it somewhere, the rule that must hold, and its name. */
export interface Mounting {
  readonly says: string;
  readonly listener: RequestListener;
  /** Where a sender that read the documentation delivers to. */
  readonly endpoint: string;
  /** Whether the handler is also reached below the endpoint. */
  readonly isWide?: boolean;
  /** Routes outside the endpoint. They answer 200 with their own path, to each method in `methods`. */
  readonly plain: readonly string[];
  readonly plainMethods: readonly string[];
  /** Changes the service after its first requests. */
  readonly later?: () => void;
  stop?(): unknown;
}

export type Generator = (random: Random, observer: Observer) => Mounting | Promise<Mounting>;
