import express from 'express';
import request from 'supertest';
import { describe, expect, it } from 'vitest';
import { vastWebhook } from '../../src/index.js';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';

describe('a handler tested with supertest, as the README shows it', () => {
  it('gets the sample event', async () => {
    const secret = 'synthetic-webhook-secret';
    const types: string[] = [];
    const app = express();
    app.use(vastWebhook(secret));
    app.post('/vast/webhooks', (req, res) => {
      types.push(req.vast.event.notif_type);
      res.sendStatus(204);
    });
    const { body, headers } = signedDelivery(sampleEvent('outbid'), secret);
    await request(app).post('/vast/webhooks').set(headers).send(body).expect(204);
    await request(app).post('/vast/webhooks').set(headers).send(`${body} `).expect(401);
    expect(types).toEqual(['outbid']);
  });
});
