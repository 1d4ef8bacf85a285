import { createHash } from 'node:crypto';
import { DeleteMessageCommand, ReceiveMessageCommand, SendMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { createForwarder, type ForwarderOptions, type Sink } from 'vast-webhook';

/** In the service: `sinks: [sqs(new SQSClient(), url)]`, with the URL of a FIFO queue. */
export function sqs(client: SQSClient, QueueUrl: string): Sink {
  return {
    name: `sqs:${QueueUrl.split('/').at(-1)}`,
    async deliver(_event, { delivery, signal }) {
      const MessageBody = JSON.stringify({ ...delivery, rawBody: delivery.rawBody.toString('base64') });
      // SQS takes 128 characters, and not all. With a group each, no event waits for another.
      const id = createHash('sha256').update(delivery.id).digest('hex');
      const command = { QueueUrl, MessageBody, MessageDeduplicationId: id, MessageGroupId: id };
      await client.send(new SendMessageCommand(command), { abortSignal: signal });
    },
  };
}

/**
 * In the worker: `work(new SQSClient(), url, { store, sinks }, signal)`. What fails comes again after the queue's
 * visibility timeout, which has to be longer than the sinks may take; its redrive policy says how often.
 */
export async function work(client: SQSClient, QueueUrl: string, options: ForwarderOptions, signal: AbortSignal) {
  const forward = createForwarder(options);
  while (!signal.aborted) {
    const { Messages = [] } = await client.send(new ReceiveMessageCommand({ QueueUrl, WaitTimeSeconds: 20 }));
    for (const { Body = '', ReceiptHandle } of Messages) {
      await forward(JSON.parse(Body)).then(
        () => client.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle })),
        () => {}, // the outcome says why
      );
    }
  }
}
