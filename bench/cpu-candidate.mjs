// One candidate of the CPU part, in its own process, so that the JIT sees nothing but it.
// By itself, for a profile: node --cpu-prof bench/cpu-candidate.mjs express-ours 100000
import { candidates } from './candidates.mjs';
import { serve } from './child.mjs';
import { signedDeliveries } from './deliveries.mjs';
import { median } from './report.mjs';
import { Wire } from './wire.mjs';

const [name, count] = process.argv.slice(2);
const { verifies, server } = candidates[name];
const wire = new Wire(await server());

/**
 * Microseconds of CPU a delivery. Signing them is not part of it. No collection is forced before it: that throws
 * away compiled code, too, and makes every candidate several times as slow for a while.
 */
async function measure(deliveries) {
  const batch = signedDeliveries(deliveries);
  const before = process.cpuUsage();
  await wire.send(batch, 204);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / deliveries;
}

async function warmUp(deliveries) {
  // A candidate that accepts a forgery does not verify, which would make it faster.
  await wire.send(signedDeliveries(1, 'another secret'), verifies ? 401 : 204);
  for (let sent = 0; sent < deliveries; sent += 1000) await measure(1000);
}

if (process.send) {
  serve(async (message) => (message.warmUp ? { done: await warmUp(message.warmUp) } : measure(message.deliveries)));
} else {
  await warmUp(20_000);
  const figures = [];
  for (let sent = 0; sent < Number(count ?? 100_000); sent += 4000) figures.push(await measure(4000));
  console.log(`${name}: ${median(figures).toFixed(1)} µs`);
}
