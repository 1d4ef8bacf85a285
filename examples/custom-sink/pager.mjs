import { SinkError, vastTypes } from 'vast-webhook';

/** A sink is a name and a `deliver`. This one posts grave events to a pager, whatever yours is called. */
export function pager(url) {
  return {
    name: 'pager',

    accepts(event) {
      return ['error', 'critical'].includes(vastTypes[event.notif_type]?.severity);
    },

    async deliver(event, { delivery, signal }) {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        // The id is the same at each attempt, so that the pager recognises a repetition.
        body: JSON.stringify({ key: delivery.id, summary: event.subject, details: event.message }),
        redirect: 'manual',
        signal: AbortSignal.any([signal, AbortSignal.timeout(5_000)]),
      });
      if (response.ok) return;
      const { status, headers } = response;
      throw new SinkError(`the pager answered ${status}`, {
        status,
        retryAfterMs: Number(headers.get('retry-after')) * 1000 || undefined,
        permanent: status < 500 && status !== 408 && status !== 429,
      });
    },
  };
}
