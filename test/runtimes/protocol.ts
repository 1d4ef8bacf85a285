/** The questions that a test asks a runtime, and what it answers. */
import type { Outcome } from '../../src/index.js';

export type Asked =
  | { readonly what: 'hello' }
  | {
      readonly what: 'start';
      /** The name of the server, of the case, and of the store unless it is the case's own. */
      readonly server: string;
      readonly name: string;
      readonly store?: string;
      readonly chatUrl: string;
    }
  | { readonly what: 'state' | 'close' | 'stop'; readonly id: number }
  /** A rule of `storeConformance`. */
  | { readonly what: 'rule'; readonly store: string; readonly name: string };

export interface CaseState {
  readonly outcomes: readonly Outcome[];
  readonly errors: readonly string[];
  /** How often the handler was called, and how many requests came. */
  readonly handled: number;
  readonly arrivals: number;
}

/** Where the workers answer questions. The other runtimes do on a port of their own. */
export const controlPath = '/-control';
