/** One HTTP attempt to hand over an event, by a sender that has shown who it is. */
export interface Delivery {
  /** The sender's dialect, `vast` for Vast.ai. */
  readonly provider: string;
  /** Whether the sender has signed the body. Where not, whoever knows the endpoint's token may have written it. */
  readonly verified: boolean;
  /** The signed event id, or `sha256:` and the hex hash of the raw body where there is none: the idempotency key. */
  readonly id: string;
  /** Which attempt the sender says this is. The header is not signed: for information only. */
  readonly attempt: number;
  /** Label of the secret that matched, when secrets have labels. */
  readonly webhook?: string;
  /** When the sender signed it, in Unix seconds; when it arrived, where nothing is signed. */
  readonly timestamp: number;
  /** When it arrived here, in Unix milliseconds. */
  readonly receivedAt: number;
  /** The bytes as sent, which are what is signed. */
  readonly rawBody: Buffer;
}

/** A delivery and the event it carries. */
export interface ReceivedDelivery<Event> {
  /** The payload as sent. */
  readonly event: Event;
  /** How it came in. */
  readonly delivery: Delivery;
}

/** A delivery that its sender has signed, and its event. */
export interface VerifiedDelivery<Event> extends ReceivedDelivery<Event> {
  readonly delivery: Delivery & {
    /** Its sender has signed the body. */
    readonly verified: true;
  };
}

/** A delivery that nobody has signed, and what it says: a wake-up to look for oneself, no fact. */
export interface UnverifiedDelivery<Event> extends ReceivedDelivery<Event> {
  readonly delivery: Delivery & {
    /** Nobody has signed the body. */
    readonly verified: false;
  };
}
