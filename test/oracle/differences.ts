import type { Request } from './adapters.js';

/** What `serve` does with a request that the adapters answer otherwise, or otherwise take. */
interface Allowed {
  readonly status: number;
  readonly isShown: boolean;
  /** Beside 4xx, a second try is taken: `isShown` is of both. */
  readonly isTakenLater: boolean;
}

interface Difference {
  /** As docs/migrate-from-the-python-adapters.md says it, word by word. */
  readonly says: string;
  /** `status` is the adapter's. Of what is refused, what the chat would have done is of no interest. */
  when(request: Request, status: number | undefined): boolean;
  readonly serve: Allowed;
}

const taken: Allowed = { status: 204, isShown: true, isTakenLater: false };
const later = (status: number): Allowed => ({ status, isShown: true, isTakenLater: true });
const refused = (status: number): Allowed => ({ status, isShown: false, isTakenLater: false });

const isTried = (status: number | undefined) => status !== 401 && status !== 400;

/** The first that fits counts. */
export const differences: readonly Difference[] = [
  {
    says: '| a signature of another form, or a timestamp with a sign or white space | may be taken | 401 |',
    when: ({ signature }) => signature === 'with a + before the timestamp',
    serve: refused(401),
  },
  {
    says: '| not genuine | 401 `invalid_signature` | the same |',
    when: (_, status) => status === 401,
    serve: refused(401),
  },
  {
    says: '| not JSON, or no object | 400 `invalid_json`, `invalid_payload` | the same |',
    when: (_, status) => status === 400,
    serve: refused(400),
  },
  {
    says: '| the chat redirects with 307 or 308 | followed | 502,',
    when: ({ chat }, status) => chat.is === 'redirect' && isTried(status),
    serve: later(502),
  },
  {
    says: 'An answer of `{"ok": false}` is a failure.',
    when: ({ chat }, status) => chat.is === 'refusal' && isTried(status),
    serve: later(502),
  },
  {
    says: '| the chat takes more than 8 s | waits 10 s, when the sender has given up | 504;',
    when: ({ chat }, status) => chat.is === 'slow' && chat.seconds > 8 && isTried(status),
    serve: later(504),
  },
  {
    says: '| the chat cannot be reached | the connection breaks off | the same 502,',
    when: ({ chat }, status) => chat.is === 'reset' && isTried(status),
    serve: later(502),
  },
  {
    says: '| the chat refused | 502 ',
    when: ({ chat }, status) => chat.is === 'status' && chat.status >= 400 && isTried(status),
    serve: later(502),
  },
  {
    says: '| taken | 200 `{"ok": true}` | **204, no body** |',
    when: (_, status) => status === 200 || status === undefined,
    serve: taken,
  },
];

/** What is otherwise in each message. */
export const otherMessages = [
  '| JSON with bytes that are no UTF-8; with a byte-order mark | the connection breaks off; 400 | taken |',
  '| the event came before: the same id, or the same bytes if it has none | delivered again | 204, and not delivered again |',
  'What is no text is shown as JSON has it',
  'Without a subject the type stands in its place and not "Vast.ai notification"',
  'the hash of the body is shown',
  '300 characters of the subject',
  '1,000 characters of a subject',
] as const;
