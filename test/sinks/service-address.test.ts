/** An address of another service is refused at the start, because its messages would be refused later, or lost. */
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { cloudEvents, discord, googleChat, http, slack, slackWorkflow, teams } from '../../src/sinks/index.js';

const token = 'secretTokenOfTheAddress';
const httpAt = (url: string) => http(url, { secret: `whsec_${Buffer.alloc(32).toString('base64')}` });
const sinks = { slack, slackWorkflow, googleChat, discord, teams, http: httpAt, cloudEvents };

/** Addresses, and the sinks that take them. */
const addresses: readonly [url: string, sink: string, advice: RegExp][] = [
  [`https://hooks.slack.com/services/T0/B0/${token}`, 'slack', /use slack for it/],
  [`https://hooks.slack-gov.com/services/T0/B0/${token}`, 'slack', /use slack for it/],
  [`https://hooks.slack.com/triggers/T0/1/${token}`, 'slackWorkflow', /use slackWorkflow for it/],
  [`https://hooks.slack.com/workflows/T0/A0/1/${token}`, 'slackWorkflow', /use slackWorkflow for it/],
  [`https://chat.googleapis.com/v1/spaces/A/messages?key=k&token=${token}`, 'googleChat', /use googleChat for it/],
  [`https://discord.com/api/webhooks/1/${token}`, 'discord', /use discord for it/],
  [`https://discordapp.com/api/v10/webhooks/1/${token}`, 'discord', /use discord for it/],
  [`https://ptb.discord.com/api/webhooks/1/${token}?thread_id=1`, 'discord', /use discord for it/],
  [`https://discord.com/api/webhooks/1/${token}/slack`, 'none', /remove \/slack or \/github .* use discord/],
  [`https://discord.com/api/webhooks/1/${token}/slack/?wait=true`, 'none', /remove \/slack/],
  [`https://discord.com/api/webhooks/1/${token}/github`, 'none', /remove \/slack or \/github/],
  [`https://x.webhook.office.com/webhookb2/${token}`, 'none', /Teams connector.* make a workflow/],
  [`https://outlook.office.com/webhook/${token}`, 'none', /Teams connector.* make a workflow/],
  [`https://prod-07.westeurope.logic.azure.com:443/workflows/1?sig=${token}`, 'teams', /use teams for it/],
  [`https://x.api.powerplatform.com/workflows/1?sig=${token}`, 'teams', /use teams for it/],
  [`https://api.telegram.org/bot1:${token}/sendMessage`, 'telegram', /use telegram with/],
  [`https://ntfy.sh/${token}`, 'ntfy', /use ntfy for it/],
  ['https://api.pushover.net/1/messages.json', 'pushover', /use pushover with/],
  ['https://events.pagerduty.com/v2/enqueue', 'pagerDuty', /use pagerDuty with/],
];

describe.each(Object.entries(sinks))('%s', (name, makeSink) => {
  it.each(addresses.filter(([, sink]) => sink !== name))('refuses %s, which is for %s', (url, _sink, advice) => {
    let thrown: unknown;
    try {
      makeSink(url);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(TypeError);
    expect(String(thrown)).toMatch(advice);
    expect(inspect(thrown, { showHidden: true })).not.toContain(token);
  });

  it.each(addresses.filter(([, sink]) => sink === name))('takes %s', (url) => {
    expect(() => makeSink(url)).not.toThrow();
  });

  it('takes an address of a proxy, whatever its path is', () => {
    expect(() => makeSink(`https://proxy.example/services/T0/B0/${token}/slack`)).not.toThrow();
  });
});
