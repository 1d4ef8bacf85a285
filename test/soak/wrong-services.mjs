// Services that are wrong in one way each, to see that the soak finds it. They keep what they know in memory.

/** Each names what it does that a service must not do. The first one does nothing wrong. */
export const wrongServices = {
  nothing: {},
  'answers before delivering': { answersFirst: true },
  'marks as done before the work': { marksFirst: true },
  'answers 400 when the store fails': { storeFailure: 400 },
  'answers 302 when the store fails': { storeFailure: 302 },
  'deduplicates nothing': { forgets: true },
  'delivers all again at a retry': { forgetsSinks: true },
  'lets two work at once': { claimsNothing: true },
  'stops answering': { pingHangs: true },
  'ends by itself': { crashes: true },
};

/** Makes the function from an event's id to the status that its delivery is answered with. */
export function serviceThat({ answersFirst, marksFirst, storeFailure, forgets, forgetsSinks, claimsNothing }, sinks) {
  const done = new Set();
  const busy = new Set();
  const received = new Map();
  let deliveries = 0;

  async function deliverToAll(id) {
    const before = (!forgetsSinks && received.get(id)) || [];
    const due = sinks.filter((sink) => !before.includes(sink));
    const results = await Promise.allSettled(due.map((sink) => sink(id)));
    const successes = due.filter((_, i) => results[i].status === 'fulfilled');
    received.set(id, [...before, ...successes]);
    return successes.length === due.length;
  }

  async function deliverUntilAllHaveIt(id) {
    while (!(await deliverToAll(id)));
  }

  return async function serve(id) {
    if (++deliveries % 50 === 0 && storeFailure !== undefined) return storeFailure;
    if (done.has(id) && !forgets) return 204;
    if (busy.has(id) && !claimsNothing) return 503;
    if (answersFirst || marksFirst) done.add(id);
    if (answersFirst) {
      deliverUntilAllHaveIt(id);
      return 204;
    }
    busy.add(id);
    if (forgets) received.delete(id);
    const doAllHaveIt = await deliverToAll(id);
    busy.delete(id);
    if (doAllHaveIt) done.add(id);
    return doAllHaveIt ? 204 : 502;
  };
}
