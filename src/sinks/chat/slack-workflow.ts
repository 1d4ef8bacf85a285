import type { Sink } from '../../contracts/sink.js';
import { cut, withoutMarkup } from '../text.js';
import { type Chat, type ChatOptions, type ChatParts, chatSink } from './chat.js';

/** The variables of a workflow, by the keys that it declares. All values are strings. */
export type SlackWorkflowMessage = Readonly<Record<string, string>>;

/** Options of `slackWorkflow`. */
export type SlackWorkflowOptions<Event> = ChatOptions<Event, SlackWorkflowMessage>;

/**
 * Starts a Slack workflow through its webhook trigger, with two variables: `vast_notification_message` (subject,
 * time, message and details, 3,000 characters at most) and `vast_action_url`. `format` can return others. No text in an event
 * can ping a channel or make markup. The answer `{ok: false}` is a permanent failure, although its status is 200.
 * Throws a `TypeError` for an invalid URL or option, and for the URL of an incoming webhook
 * or of another service.
 */
export function slackWorkflow<Event extends object>(
  triggerUrl: string,
  options: SlackWorkflowOptions<Event> = {},
): Sink<Event> {
  return chatSink(chat, triggerUrl, options);
}

/** Limit of a section block, which a workflow's message consists of. Source: docs.slack.dev, Block Kit. */
const maxText = 3_000;
const maxSubject = 300;

const chat: Chat<SlackWorkflowMessage> = {
  service: 'Slack workflow',
  name: 'slackWorkflow',
  // No entities, because Slack shows a variable unchanged.
  escape: withoutMarkup,
  messageOf({ subject, happened, message, url, details }: ChatParts) {
    const head = withoutMarkup(cut(subject, maxSubject));
    const tail = withoutMarkup(details);
    const textWith = (body: string) => [head, happened, withoutMarkup(body), tail].filter(Boolean).join('\n');
    return variables(textWith(cut(message, maxText, (body) => textWith(body).length)), url);
  },
  ofText: (text, url) => variables(cut(text, maxText), url),
  answers: { reasonIn: ({ error }) => error },
};

/** The keys of the adapter guide on docs.vast.ai. */
function variables(text: string, url: string): SlackWorkflowMessage {
  return { vast_notification_message: text, vast_action_url: url };
}
