import { type MemoryStoreOptions, memoryStore } from '../../../src/index.js';

export function make(options?: MemoryStoreOptions) {
  return { store: memoryStore(options) };
}
