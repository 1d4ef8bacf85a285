export {
  type DeadLetter,
  type Outbox,
  type OutboxOptions,
  sqliteOutbox,
} from '../outbox/sqlite-outbox.js';
export type { SqliteDatabase, SqliteStatement } from '../stores/sqlite-table.js';
export { type BullMqOptions, type BullMqQueue, bullmq } from './bullmq.js';
export type { ChatOptions, ChatParts } from './chat.js';
export { type GoogleChatMessage, type GoogleChatOptions, googleChat } from './google-chat.js';
export type { HttpSinkOptions } from './post.js';
export { type SlackMessage, type SlackOptions, slack } from './slack.js';
