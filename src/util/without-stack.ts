/**
 * Makes an error without a stack trace, whose capture costs more than all else that refusing a forged request costs.
 * For errors that anybody can cause, and whose code says where they come from.
 */
export function withoutStack<E extends Error>(make: () => E): E {
  const { stackTraceLimit } = Error;
  // Unlike an assignment, it does not throw if Error is frozen.
  Reflect.set(Error, 'stackTraceLimit', 0);
  try {
    return make();
  } finally {
    Reflect.set(Error, 'stackTraceLimit', stackTraceLimit);
  }
}
