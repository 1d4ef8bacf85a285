import { Body, Controller, HttpCode, Post, Req } from '@nestjs/common';
import type { Request } from 'express';
import type { VastEvent } from 'vast-webhook';

@Controller('vast/webhooks')
export class VastController {
  /** Runs for genuine, new events only. A 2xx completes an event; after a 5xx or an exception the sender retries it. */
  @Post()
  @HttpCode(204)
  async receive(@Req() req: Request): Promise<void> {
    const { event, delivery } = req.vast;
    if (event.notif_type === 'outbid') await this.raiseBid(event);
    else console.log(`nothing to do for ${event.notif_type}`);
    console.log(`done with ${delivery.id}`);
  }

  /** Your own work goes here. */
  private async raiseBid(event: VastEvent): Promise<void> {
    console.log(`would raise the bid: ${event.subject}`);
  }
}

/** Any other part of the service, with Nest's own body parser. */
@Controller('orders')
export class OrdersController {
  @Post()
  create(@Body() order: object): { ordered: object } {
    return { ordered: order };
  }
}
