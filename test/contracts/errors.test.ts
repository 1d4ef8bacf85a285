import { expect, it } from 'vitest';
import { SinkError, WebhookError } from '../../src/contracts/errors.js';

it('errors of another build are recognised by their brand', () => {
  const foreign = Object.create(Error.prototype, { [Symbol.for('vast-webhook.WebhookError')]: { value: true } });
  expect(foreign instanceof WebhookError).toBe(true);
  expect(foreign instanceof SinkError).toBe(false);
  expect((new Error('x') as unknown) instanceof WebhookError).toBe(false);
  class Limited extends SinkError {}
  expect(new SinkError('x') instanceof Limited).toBe(false);
  expect(new Limited('x') instanceof Limited && new Limited('x') instanceof SinkError).toBe(true);
});
