/** A listener of the service's must not change what becomes of the delivery, also not by a promise that rejects. */
export function swallowErrors<Args extends readonly unknown[]>(
  listener: (...args: Args) => unknown,
): (...args: Args) => void {
  return (...args) => {
    try {
      const result = listener(...args);
      if (result instanceof Promise) result.catch(() => {});
    } catch {}
  };
}
