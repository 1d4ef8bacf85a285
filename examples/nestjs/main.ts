import { type BeforeApplicationShutdown, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { OrdersController, VastController } from './controllers.js';
import { webhook } from './webhook.js';

@Module({ controllers: [VastController, OrdersController] })
class AppModule implements BeforeApplicationShutdown {
  /** Running handlers finish first. New deliveries get a 503, and the sender retries. */
  beforeApplicationShutdown(): Promise<void> {
    return webhook.close(10_000);
  }
}

const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
app.use(webhook); // before `listen`, which puts Nest's body parser in place
app.enableShutdownHooks();

await app.listen(process.env.PORT ?? 8787, '127.0.0.1');
console.log(`Listening on ${await app.getUrl()}/vast/webhooks`);
