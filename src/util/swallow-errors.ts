/** Wraps a user's listener, because its errors must not affect the delivery. Rejected promises are ignored, too. */
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
