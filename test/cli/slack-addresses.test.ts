import { expect, it } from 'vitest';
import { slack, slackWorkflow } from '../../src/sinks/index.js';

it.each(['triggers', 'workflows'])(
  "slack() refuses the URL of a workflow's trigger below /%s/, and says what takes it",
  (path) => {
    const url = `https://hooks.slack.com/${path}/T0/1/secrettoken`;
    const make = () => slack(url);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(/use slackWorkflow/);
    expect(make).not.toThrow(/secrettoken/);
    expect(() => slackWorkflow(url)).not.toThrow();
  },
);
