import type { Sink } from '../../contracts/sink.js';
import { cut, withoutMarkup } from '../text.js';
import { type Chat, type ChatOptions, type ChatParts, chatSink } from './chat.js';
import { slackAddressKind } from './slack-address.js';

/** The variables of a workflow, by the keys that it declares: strings, and nothing nested. */
export type SlackWorkflowMessage = Readonly<Record<string, string>>;

/** What `slackWorkflow` takes beside the URL. */
export type SlackWorkflowOptions<Event> = ChatOptions<Event, SlackWorkflowMessage>;

/**
 * Starts a Slack workflow by its webhook trigger, with the variables `vast_notification_message` (the text: subject,
 * message, details, 3,000 characters at most) and `vast_action_url`; `format` gives others. Nothing in an event can
 * ping a channel or make markup. An answer of `{ok: false}` is a failure for good, though its status is 200.
 * Throws a `TypeError` for an invalid option or URL, that of an incoming webhook included.
 */
export function slackWorkflow<Event extends object>(
  triggerUrl: string,
  options: SlackWorkflowOptions<Event> = {},
): Sink<Event> {
  if (slackAddressKind(triggerUrl) === 'incoming webhook') {
    // It would refuse each event for good, because it finds no text.
    throw new TypeError('Slack workflow: this is the URL of an incoming webhook: use slack for it');
  }
  return chatSink(chat, triggerUrl, options);
}

/** Of a section block, which a workflow's message is made of. Source: docs.slack.dev, Block Kit. */
const maxText = 3_000;
const maxSubject = 300;

const chat: Chat<SlackWorkflowMessage> = {
  service: 'Slack workflow',
  name: 'slackWorkflow',
  // No entities: a variable is shown as it is.
  escape: withoutMarkup,
  messageOf({ subject, message, url, details }: ChatParts) {
    const head = withoutMarkup(cut(subject, maxSubject));
    const tail = withoutMarkup(details);
    const textWith = (body: string) => [head, withoutMarkup(body), tail].filter(Boolean).join('\n');
    return variables(textWith(cut(message, maxText, (body) => textWith(body).length)), url);
  },
  ofText: (text, url) => variables(cut(text, maxText), url),
  answers: { reasonIn: ({ error }) => error },
};

/** The keys of the adapter guide on docs.vast.ai. */
function variables(text: string, url: string): SlackWorkflowMessage {
  return { vast_notification_message: text, vast_action_url: url };
}
