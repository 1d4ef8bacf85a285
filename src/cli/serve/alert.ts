import type { Sink, WebhookOptions } from 'vast-webhook';
import { type AlertOptions, alerting } from 'vast-webhook/sinks';
import { UsageError } from '../shared/errors.js';
import { type GivenSink, type SinkSettings, sinksFromUrls } from './sinks-from-urls.js';

/** Of an address, or of what a config has made. An option wins over the config. Undefined without an alert sink. */
export function alertOf(
  given: GivenSink | undefined,
  afterSeconds: number | undefined,
  config: Partial<AlertOptions> | undefined,
  settings: SinkSettings,
): AlertOptions | undefined {
  // With a prefix, because the same address may be one of the sinks. Without labels, because no webhook has sent alerts.
  const [fromUrl] = given === undefined ? [] : sinksFromUrls([given], { ...settings, labels: [], prefix: 'alert-' });
  const sink = fromUrl ?? config?.sink;
  if (sink === undefined) {
    if (afterSeconds === undefined) return undefined;
    throw new UsageError('--alert-after needs an alert sink: give --alert, or set VAST_WEBHOOK_ALERT');
  }
  const afterMs = afterSeconds === undefined ? config?.afterMs : Math.ceil(afterSeconds * 1_000);
  return { sink: sink as AlertOptions['sink'], afterMs };
}

/** A sink that is not behind an outbox, watched for the alert sink. */
export function watchedBy(alert: AlertOptions, onError: NonNullable<WebhookOptions['onError']>, sink: Sink): Sink {
  const [watched = sink] = alerting({ ...alert, onError }, [sink]);
  return watched;
}
