export type AbortListener = (reason: unknown) => void;

interface HasSignal {
  readonly signal: AbortSignal;
}

/** What can be listened to without its signal, because a signal takes a kilobyte. */
export interface HasAbort extends HasSignal {
  onAbort(listener: AbortListener): () => void;
}

/**
 * Calls the listener when the signal is aborted. Throws the reason if it is aborted already. Returns a function that
 * removes the listener.
 */
export function onAbort(context: HasSignal | HasAbort, listener: AbortListener): () => void {
  if ('onAbort' in context) return context.onAbort(listener);
  const { signal } = context;
  signal.throwIfAborted();
  const run = () => listener(signal.reason);
  signal.addEventListener('abort', run, { once: true });
  return () => signal.removeEventListener('abort', run);
}
