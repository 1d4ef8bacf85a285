export { sampleEvent } from './sample-event.js';
export { type SignedDelivery, type SignedDeliveryOptions, signedDelivery } from './signed-delivery.js';
export { type ConformingSinkOptions, type SinkRequest, type SinkStandIn, sinkConformance } from './sink-conformance.js';
export { type ConformanceCase, storeConformance } from './store-conformance.js';
