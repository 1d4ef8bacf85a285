import { useEffect, useState } from 'preact/hooks';
import type { ChatMessage } from '../chat-messages.js';
import type { Connection } from './connection.js';
import { Scrolled } from './scrolled.js';
import { shown } from './text.js';

interface MessagesProps {
  readonly connection: Connection;
  readonly number: number;
  readonly chat: string;
  readonly onChat: (chat: string) => void;
}

/** Whoever goes through the list with the arrow keys does not wait for messages. */
const restMs = 150;

/** How the message about a delivery looks in each chat. */
export function Messages({ connection, number, chat, onChat }: MessagesProps) {
  const [messages, setMessages] = useState<readonly ChatMessage[] | undefined>(undefined);
  useEffect(() => {
    const abort = new AbortController();
    setMessages(undefined);
    const timer = setTimeout(() => {
      connection.messages(number, abort.signal).then(setMessages, () => {});
    }, restMs);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [number]);
  if (messages?.length === 0) return null;
  const message = messages?.find((each) => each.chat === chat) ?? messages?.[0];
  return (
    <section aria-labelledby="messages-title">
      <div class="heading">
        <h3 id="messages-title">In chats</h3>
        {messages !== undefined && (
          <label class="field">
            <span class="hidden">Chat</span>
            <select value={message?.chat} onChange={({ currentTarget }) => onChat(currentTarget.value)}>
              {messages.map((each) => (
                <option key={each.chat} value={each.chat}>
                  {each.title}
                </option>
              ))}
            </select>
          </label>
        )}
      </div>
      {message === undefined ? <p class="quiet">Looking…</p> : <Message message={message} />}
    </section>
  );
}

function Message({ message: { chat, title, parts, color, json } }: { readonly message: ChatMessage }) {
  return (
    <>
      <div class={`message ${chat}`} style={color === undefined ? undefined : { borderInlineStartColor: color }}>
        <span class="avatar" aria-hidden="true">
          {title.slice(0, 1)}
        </span>
        <div class="message-parts">
          {parts.map(({ kind, text }, index) => (
            <p key={index} class={`part ${kind}`}>
              <bdi>{shown(text)}</bdi>
            </p>
          ))}
        </div>
      </div>
      <details>
        <summary>What is sent to {title}</summary>
        <Scrolled label={`What is sent to ${title}`}>{shown(json)}</Scrolled>
      </details>
    </>
  );
}
