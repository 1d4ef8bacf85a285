export type { ChatOptions, ChatParts } from './chat.js';
export { type GoogleChatMessage, type GoogleChatOptions, googleChat } from './google-chat.js';
export type { HttpSinkOptions } from './post.js';
export { type SlackMessage, type SlackOptions, slack } from './slack.js';
