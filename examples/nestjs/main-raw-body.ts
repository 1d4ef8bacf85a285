import { type BeforeApplicationShutdown, type MiddlewareConsumer, Module, type NestModule } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { OrdersController, VastController } from './controllers.js';
import { webhook } from './webhook.js';

@Module({ controllers: [VastController, OrdersController] })
class AppModule implements NestModule, BeforeApplicationShutdown {
  /** On the controller's routes, wherever a prefix puts them. */
  configure(consumer: MiddlewareConsumer): void {
    consumer.apply(webhook).forRoutes(VastController);
  }

  /** Running handlers finish first. New deliveries get a 503, and the sender retries. */
  beforeApplicationShutdown(): Promise<void> {
    return webhook.close(10_000);
  }
}

// A module's middleware runs behind Nest's body parser, which has to keep the bytes.
const app = await NestFactory.create(AppModule, { rawBody: true, logger: ['error', 'warn'] });
app.enableShutdownHooks();

await app.listen(process.env.PORT ?? 8787, '127.0.0.1');
console.log(`Listening on ${await app.getUrl()}/vast/webhooks`);
