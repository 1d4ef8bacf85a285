export { type AlertingOptions, alerting } from '../alerts/alerting.js';
export type { AlertOptions } from '../alerts/outage.js';
export { type OutboxFile, type OutboxFileOptions, type OutboxSelection, outboxFile } from '../outbox/outbox-file.js';
export { type Outbox, type OutboxOptions, sqliteOutbox } from '../outbox/sqlite-outbox.js';
export type { DeadLetter, DeadLetterPage, OutboxMove, OutboxStats } from '../outbox/undelivered-events.js';
export type { AlertEvent } from '../providers/alerts.js';
export type { DigestEvent, DigestedType } from '../providers/digests.js';
export type { SqliteDatabase, SqliteStatement } from '../stores/sqlite-table.js';
export { type DigestOptions, digest } from './batching/digest.js';
export { type QuietOptions, quiet } from './batching/quiet.js';
export { type BullMqOptions, type BullMqQueue, bullmq } from './bullmq.js';
export { type AppriseMessage, type AppriseOptions, apprise } from './chat/apprise.js';
export type { ChatOptions, ChatParts } from './chat/chat.js';
export { type DiscordMessage, type DiscordOptions, discord } from './chat/discord.js';
export { type GoogleChatMessage, type GoogleChatOptions, googleChat } from './chat/google-chat.js';
export { type GotifyMessage, type GotifyOptions, gotify } from './chat/gotify.js';
export { type MatrixMessage, type MatrixOptions, matrix } from './chat/matrix.js';
export { type MattermostMessage, type MattermostOptions, mattermost } from './chat/mattermost.js';
export { type NtfyMessage, type NtfyOptions, ntfy } from './chat/ntfy.js';
export { type PushoverMessage, type PushoverOptions, pushover } from './chat/pushover.js';
export { type SlackMessage, type SlackOptions, slack } from './chat/slack.js';
export { type SlackWorkflowMessage, type SlackWorkflowOptions, slackWorkflow } from './chat/slack-workflow.js';
export { type TeamsMessage, type TeamsOptions, teams } from './chat/teams.js';
export { type TelegramMessage, type TelegramOptions, telegram } from './chat/telegram.js';
export { type ZulipMessage, type ZulipOptions, type ZulipRecipient, zulip } from './chat/zulip.js';
export { cloudEvents } from './cloud-events.js';
export {
  type EmailMessage,
  type EmailOptions,
  type EmailTransport,
  type EmailTransportMessage,
  email,
} from './email.js';
export { type HttpOptions, http } from './http.js';
export { type LogOptions, log } from './log.js';
export { type PagerDutyOptions, pagerDuty } from './pager-duty.js';
export type { HttpSinkOptions } from './post.js';
