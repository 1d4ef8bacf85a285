export { type MemoryStoreOptions, memoryStore } from '../forward/memory-store.js';
export type { ClaimResult, IdempotencyStore } from '../forward/store.js';
