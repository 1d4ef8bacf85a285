export { type CatchUpHook, type CatchUpOptions, catchUp, type Gap } from './catch-up.js';
export { type CatchUpState, catchUpState } from './state.js';
