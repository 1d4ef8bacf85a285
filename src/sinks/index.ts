export {
  type DeadLetter,
  type Outbox,
  type OutboxMove,
  type OutboxOptions,
  type OutboxStats,
  sqliteOutbox,
} from '../outbox/sqlite-outbox.js';
export type { DigestEvent, DigestedType } from '../providers/digests.js';
export type { SqliteDatabase, SqliteStatement } from '../stores/sqlite-table.js';
export { type BullMqOptions, type BullMqQueue, bullmq } from './bullmq.js';
export type { ChatOptions, ChatParts } from './chat.js';
export { cloudEvents } from './cloud-events.js';
export { type DigestOptions, digest } from './digest.js';
export { type DiscordMessage, type DiscordOptions, discord } from './discord.js';
export { type GoogleChatMessage, type GoogleChatOptions, googleChat } from './google-chat.js';
export { type HttpOptions, http } from './http.js';
export { type LogOptions, log } from './log.js';
export { type PagerDutyOptions, pagerDuty } from './pager-duty.js';
export type { HttpSinkOptions } from './post.js';
export { type QuietOptions, quiet } from './quiet.js';
export { type SlackMessage, type SlackOptions, slack } from './slack.js';
export { type SlackWorkflowMessage, type SlackWorkflowOptions, slackWorkflow } from './slack-workflow.js';
export { type TeamsMessage, type TeamsOptions, teams } from './teams.js';
