import { afterEach, describe, expect, it } from 'vitest';
import { discord, googleChat, pagerDuty, slack, slackWorkflow, teams } from '../../src/sinks/index.js';
import { type ChatStandIn, endpointStandIn } from '../support/chat-stand-in.js';
import { deliverTo, failureOf } from './deliver.js';

const pagerDutyAt = (url: string) => pagerDuty<object>('key', { url });

describe('a refusal that can be read in the body of a 2xx is a failure for good', () => {
  let chat: ChatStandIn<unknown> | undefined;
  afterEach(() => chat?.close());
  const deliverWith = async (makeSink: (url: string) => ReturnType<typeof slack<object>>, body: string) => {
    chat = await endpointStandIn('application/json');
    chat.misbehave = (res) => res.writeHead(200).end(body);
    return deliverTo(makeSink(chat.url) as never);
  };

  it.each([
    ['Slack’s form', slack, '{"ok":false,"error":"no_service"}'],
    ['Slack’s form at Rocket.Chat', slack, '{"success":false,"error":"Invalid hook"}'],
    ['a Slack workflow', slackWorkflow, '{"ok":false,"error":"invalid_input_format"}'],
    ['Google Chat', googleChat, '{"error":{"code":400,"message":"bad","status":"INVALID_ARGUMENT"}}'],
    ['Discord', discord, '{"code":50035,"message":"Invalid Form Body"}'],
    ['Teams', teams, 'Webhook message delivery failed with error: Bad payload'],
    ['PagerDuty', pagerDutyAt, '{"status":"invalid event","message":"Event object is invalid"}'],
  ])('%s', async (_, makeSink, body) => {
    expect(await failureOf(deliverWith(makeSink as never, body))).toMatchObject({ status: 200, permanent: true });
  });

  it.each([
    ['Slack’s form', slack, 'ok'],
    ['Slack’s form at Rocket.Chat', slack, '{"success":true}'],
    ['a Slack workflow', slackWorkflow, '{"ok":true}'],
    ['Google Chat', googleChat, '{"name":"spaces/a/messages/b","text":"error"}'],
    ['Discord', discord, '{"id":"1","type":0,"content":"text","code":7}'],
    ['Teams', teams, '1'],
    ['PagerDuty', pagerDutyAt, '{"status":"success","message":"Event processed","dedup_key":"a"}'],
  ])('%s: not what says that the message is there', async (_, makeSink, body) => {
    await expect(deliverWith(makeSink as never, body)).resolves.toBeUndefined();
  });
});
