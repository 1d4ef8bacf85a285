/**
 * Whether this is Cloudflare Workers, where timers, connections and promises end with the request that made them. What
 * needs them after the answer must be given to `waitUntil`.
 */
export function isWorkers(): boolean {
  return (globalThis as { navigator?: { userAgent?: string } }).navigator?.userAgent === 'Cloudflare-Workers';
}

export function isDeno(): boolean {
  return 'Deno' in globalThis;
}
