import { Controller, HttpCode, type MiddlewareConsumer, Module, Post, Req } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { onTestFinished } from 'vitest';
import { type Outcome, vastWebhook } from '../../src/index.js';
import { secret } from './documented.js';

export interface NestSetup {
  /** Where the middleware is: ahead of Nest's parser, or on the controller's routes. */
  readonly middleware: 'app' | 'module';
  readonly path?: string;
  readonly rawBody?: boolean;
  /** Of all routes of the app. */
  readonly prefix?: string;
  /** For all routes of the app. */
  readonly guard?: () => boolean;
}

/** A Nest service with a controller on `vast/webhooks`. Its decorators are applied by hand, to be set up by a test. */
export async function nestService({ middleware, path, rawBody = false, prefix = '', guard }: NestSetup) {
  const outcomes: Outcome[] = [];
  const webhook = vastWebhook(secret, { path, onOutcome: (outcome) => outcomes.push(outcome) });
  const service = { url: '', outcomes, handled: [] as unknown[], fail: undefined as Error | undefined };

  class VastController {
    receive({ vast: { event } }: { vast: { event: unknown } }): void {
      service.handled.push(event);
      if (service.fail) throw service.fail;
    }
  }
  Controller('vast/webhooks')(VastController);
  Req()(VastController.prototype, 'receive', 0);
  const receive = Object.getOwnPropertyDescriptor(VastController.prototype, 'receive') as PropertyDescriptor;
  for (const decorate of [Post(), HttpCode(204)]) decorate(VastController.prototype, 'receive', receive);

  class AppModule {
    configure(consumer: MiddlewareConsumer): void {
      if (middleware === 'module') consumer.apply(webhook).forRoutes(VastController);
    }
  }
  Module({ controllers: [VastController] })(AppModule);

  const app = await NestFactory.create(AppModule, { rawBody, logger: false, forceCloseConnections: true });
  onTestFinished(() => app.close());
  if (middleware === 'app') app.use(webhook);
  if (guard) app.useGlobalGuards({ canActivate: guard });
  app.setGlobalPrefix(prefix);
  await app.listen(0, '127.0.0.1');
  service.url = `${await app.getUrl()}${prefix && `/${prefix}`}/vast/webhooks`;
  return service;
}
