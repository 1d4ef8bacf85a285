import { createServer } from 'node:http';
import express from 'express';
import Koa from 'koa';
import { vastWebhook, when } from 'vast-webhook';
import { vastWebhook as koaVastWebhook } from 'vast-webhook/koa';
import { googleChat, slack } from 'vast-webhook/sinks';

export function startExpress(secret, urls) {
  return start(
    'Express',
    (options) => {
      const webhook = vastWebhook(secret, options);
      const app = express();
      app.use(webhook);
      return { app, webhook };
    },
    urls,
  );
}

export function startKoa(secret, urls) {
  return start(
    'Koa',
    (options) => {
      const webhook = koaVastWebhook(secret, options);
      const app = new Koa();
      app.use(webhook);
      return { app: app.callback(), webhook };
    },
    urls,
  );
}

async function start(name, make, urls) {
  const log = { name: 'log', heard: [] };
  const outcomes = [];
  const { app, webhook } = make({
    sinks: [
      slack(urls.slack),
      when(['instance_*', 'outbid'], googleChat(urls.googleChat)),
      async function writeLog(event) {
        log.heard.push(event.event_id);
      },
    ],
    onOutcome: (outcome) => outcomes.push(outcome),
  });
  const server = createServer(app);
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    name,
    url: `http://127.0.0.1:${server.address().port}/vast/webhooks`,
    log,
    outcomes,
    async close() {
      server.close();
      await webhook.close();
      server.closeAllConnections();
    },
  };
}
