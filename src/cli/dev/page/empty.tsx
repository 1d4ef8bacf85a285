import type { Places } from '../page-server.js';

interface EmptyProps {
  readonly places: Places | undefined;
  readonly onSend: () => void;
  readonly onCopy: (what: string, text: string) => void;
}

/** Where deliveries are expected, and how to send one. */
export function Empty({ places, onSend, onCopy }: EmptyProps) {
  const { receiver = '', webhook, forwardTo } = places ?? {};
  const trigger = `npx vast-webhook trigger outbid --url ${receiver}`;
  return (
    <section class="empty" aria-labelledby="empty-title">
      <h2 id="empty-title">Nothing has arrived yet</h2>
      <p>Deliveries are expected at</p>
      <ul>
        <li>
          <Copied what="the address" text={receiver} onCopy={onCopy} /> on this machine
        </li>
        {webhook === undefined ? (
          <li class="quiet">
            no public address: <code>--tunnel</code> or <code>--tunnel-url</code> lets Vast.ai in
          </li>
        ) : (
          <li>
            <Copied what="the address" text={webhook} onCopy={onCopy} /> from Vast.ai
          </li>
        )}
      </ul>
      {forwardTo !== undefined && (
        <p>
          Each one is passed on to <code>{forwardTo}</code>.
        </p>
      )}
      <p>Send one from here, or from a terminal in the same folder:</p>
      <p>
        <button type="button" class="main" onClick={onSend}>
          Send a webhook_test
        </button>
      </p>
      <p>
        <Copied what="the command" text={trigger} onCopy={onCopy} />
      </p>
    </section>
  );
}

interface CopiedProps {
  readonly what: string;
  readonly text: string;
  readonly onCopy: EmptyProps['onCopy'];
}

function Copied({ what, text, onCopy }: CopiedProps) {
  return (
    <span class="copied">
      <code>{text}</code>
      <button type="button" aria-label={`Copy ${what} ${text}`} onClick={() => onCopy(what, text)}>
        Copy
      </button>
    </span>
  );
}
