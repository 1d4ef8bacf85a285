/** How grave an event is for whoever runs the instances or machines. */
export type Severity = 'info' | 'warning' | 'error' | 'critical';

/** What a sink needs to tell people of an event, whoever sent it. All texts are the sender's: escape them. */
interface Summary {
  readonly subject: string;
  readonly message: string;
  readonly type: string;
  readonly severity: Severity;
  /** Where to act on it. */
  readonly url: string;
}

/** What must be known of a sender to tell of its events. */
export type Dialect<Event> = Pick<Provider<Event>, 'name' | 'typeOf' | 'summarize'>;

/** A sender's dialect: what its deliveries look like. */
export interface Provider<Event> {
  /** Part of the idempotency key. */
  readonly name: string;
  /** The endpoint where none is given. */
  readonly path: string;
  /** Header names in lower case. */
  readonly headers: { readonly signature: string; readonly timestamp: string; readonly attempt: string };
  /** The signed event id, whatever stands in its place. */
  idOf(event: Event): unknown;
  /** The type, whatever stands in its place. */
  typeOf(event: Event): unknown;
  summarize(event: Event): Summary;
}
