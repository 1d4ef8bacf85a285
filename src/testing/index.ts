export { sampleEvent } from './sample-event.js';
export { type SignedDelivery, type SignedDeliveryOptions, signedDelivery } from './signed-delivery.js';
export { type ConformanceCase, storeConformance } from './store-conformance.js';
