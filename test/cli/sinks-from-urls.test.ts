import { describe, expect, it } from 'vitest';
import { sinksFromUrls } from '../../src/cli/serve/sinks-from-urls.js';

function namesOf(...other: string[]): string[] {
  return sinksFromUrls({ slack: [], googleChat: [], other }, { labels: [] }).map(({ name }) => name);
}

describe('an address', () => {
  it.each([
    ['https://hooks.slack.com/services/T/B/x', 'slack'],
    ['https://hooks.slack-gov.com/services/T/B/x', 'slack'],
    ['https://hooks.slack.com/triggers/T/1/x', 'slackWorkflow'],
    ['https://hooks.slack.com/workflows/T/A/1/x', 'slackWorkflow'],
    ['https://chat.googleapis.com/v1/spaces/S/messages?key=k&token=t', 'googleChat'],
    ['https://discord.com/api/webhooks/1/x', 'discord'],
    ['https://canary.discord.com/api/webhooks/1/x', 'discord'],
    ['https://prod-1.westus.logic.azure.com/workflows/1/triggers/manual/paths/invoke?sig=s', 'teams'],
    ['https://default1.2.environment.api.powerplatform.com/powerautomate/automations/direct/workflows/1', 'teams'],
  ])('%s is of %s', (url, name) => {
    expect(namesOf(url)).toEqual([expect.stringMatching(new RegExp(`^${name}-[0-9a-f]{8}$`))]);
  });

  it.each([
    'http://hooks.slack.com/services/T/B/x',
    'https://hooks.slack.com.example/services/T/B/x',
    'https://discord.com/invite/x',
    'https://notdiscord.com/api/webhooks/1/x',
    'https://logic.azure.com.example/workflows/1',
    'nothing',
  ])('%s is refused', (url) => {
    expect(() => namesOf(url)).toThrow('--sink');
  });

  it('keeps its name, whatever comes before it or is removed', () => {
    const urls = [
      'https://hooks.slack.com/services/T/B/x',
      'https://discord.com/api/webhooks/1/x',
      'https://hooks.slack.com/services/T/B/y',
    ];
    const names = namesOf(...urls);
    expect(new Set(names).size).toBe(3);
    expect(namesOf(...urls.slice(1))).toEqual(names.slice(1));
    expect(namesOf(...urls.toReversed())).toEqual(names.toReversed());
    const given = sinksFromUrls({ slack: urls.slice(0, 1), googleChat: [], other: [] }, { labels: [] });
    expect(given.map(({ name }) => name)).toEqual(names.slice(0, 1));
  });
});
