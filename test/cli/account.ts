import { onTestFinished } from 'vitest';
import { startVastManagement } from '../support/management-stand-in.js';
import { type World, workplace } from './call.js';

const url = 'https://example.com/vast/webhooks';

/** A Vast.ai account for the running test, and a folder in which the command is called for it. */
export async function account() {
  const service = await startVastManagement();
  onTestFinished(() => service.close());
  const place = workplace(service.apiKey);
  const call = (args: readonly string[], world: World = {}) =>
    place.call([...args, '--base-url', service.url], { ...world, env: { VAST_API_KEY: service.apiKey, ...world.env } });
  const create = (name: string, ...args: readonly string[]) =>
    call(['create', '--url', url, '--type', 'outbid', '--name', name, ...args]);
  const secretOf = (name: string) => service.webhooks.find((webhook) => webhook.name === name)?.webhook_secret ?? '';
  const changes = () => service.calls.filter((each) => each.startsWith('POST')).length;
  return { service, place, call, create, secretOf, changes };
}
