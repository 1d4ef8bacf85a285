/** One verified HTTP attempt to hand over an event. */
export interface Delivery {
  /** The sender's dialect, `vast` for Vast.ai. */
  readonly provider: string;
  /** The signed event id, or `sha256:` and the hex hash of the raw body where there is none: the idempotency key. */
  readonly id: string;
  /** Which attempt the sender says this is. The header is not signed: for information only. */
  readonly attempt: number;
  /** Label of the secret that matched, when secrets have labels. */
  readonly webhook?: string;
  /** When the sender signed it, in Unix seconds. */
  readonly timestamp: number;
  /** When it arrived here, in Unix milliseconds. */
  readonly receivedAt: number;
  /** The signed bytes, as sent. */
  readonly rawBody: Buffer;
}

/** A delivery and the event it carries. */
export interface Verified<Event> {
  /** The payload as sent. */
  readonly event: Event;
  /** How it came in. */
  readonly delivery: Delivery;
}
