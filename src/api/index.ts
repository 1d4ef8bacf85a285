export { ApiError } from './api-error.js';
export type { ApiOptions, CallOptions } from './caller.js';
export {
  type ShodaiApi,
  type ShodaiApiFilters,
  type ShodaiApiMeta,
  type ShodaiApiTestResult,
  type ShodaiApiWebhook,
  type ShodaiApiWebhookChanges,
  type ShodaiApiWebhookInput,
  type ShodaiApiWebhookWithSecret,
  type ShodaiEventType,
  shodaiApi,
  shodaiEventTypes,
} from './shodai.js';
export {
  type V0Api,
  type V0ApiWebhook,
  type V0ApiWebhookInput,
  type V0ApiWebhookSummary,
  type V0EventType,
  v0Api,
  v0EventTypes,
} from './v0.js';
export {
  type VastApi,
  type VastApiEnabledPreferences,
  type VastApiInbox,
  type VastApiInstance,
  type VastApiNotification,
  type VastApiPreferences,
  type VastApiType,
  type VastApiWebhook,
  type VastApiWebhookInput,
  type VastApiWebhookWithSecret,
  vastApi,
} from './vast.js';
