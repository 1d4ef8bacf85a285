/** Providers of an application, one of each scheme. */
import {
  bodyHmac,
  defineProvider,
  type Provider,
  type ProviderDefinition,
  type Scheme,
  standardWebhooks,
  timestampedHmac,
  urlToken,
} from '../../src/provider/fetch.js';

export interface SpaceEvent {
  readonly uid?: string;
  readonly kind?: string;
}

function spaceProvider<Signs extends boolean>(
  name: string,
  scheme: Scheme<Signs>,
  idOf?: ProviderDefinition<SpaceEvent>['idOf'],
): Provider<SpaceEvent, Signs> {
  return defineProvider({
    name,
    path: `/${name}/webhooks`,
    scheme,
    ...(idOf && { idOf }),
    typeOf: (event: SpaceEvent, headers) => headers.get('X-Space-Kind') ?? event.kind,
    summarize: (event) => ({ subject: String(event.uid), url: 'https://space.example/' }),
  });
}
const uid = (event: SpaceEvent) => {
  if (event.uid === 'odd') throw new Error('an odd event');
  return event.uid;
};
export const comet = spaceProvider('comet', standardWebhooks());
export const rocket = spaceProvider('rocket', bodyHmac({ header: 'X-Rocket-Signature' }), uid);
export const beacon = spaceProvider('beacon', urlToken({ parameter: 'key' }), uid);
export const pulsar = spaceProvider(
  'pulsar',
  timestampedHmac({
    headers: { signature: 'X-Pulsar-Signature', timestamp: 'X-Pulsar-Time', attempt: 'X-Pulsar-Try' },
  }),
  uid,
);
