import { writeFileSync } from 'node:fs';
import type { Browser } from 'playwright-core';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';
import { openChromium } from '../support/chromium.js';
import { temporaryFile } from '../support/temporary-file.js';
import { deliveryOf } from './dev/logged.js';
import { scrollThrough, typeInto } from './dev-in-browser.js';
import { startDev } from './dev-session.js';

const executable = inject('chromium');
const secret = 'a-secret-of-the-environment';
const many = 5_000;
const few = 500;

describe.skipIf(executable === undefined)('the page of dev with 5,000 deliveries, in Chromium', () => {
  // How long a frame takes depends on the machine, so that the two are compared.
  it('has few of them in the document, and works on its frames about as long as with 500', async () => {
    const browser = await openChromium(executable as string);
    onTestFinished(() => browser.close());
    expect(await workOf(browser, many)).toBeLessThan(1.5 * (await workOf(browser, few)));
  });
});

/** Uses the page with so many deliveries. How long its fifty longest tasks took, in ms. */
async function workOf(browser: Browser, kept: number): Promise<number> {
  const history = temporaryFile('dev.jsonl');
  const types = ['outbid', 'low_credit', 'instance_online'] as const;
  const lines = Array.from({ length: kept }, (_, index) => {
    const event = sampleEvent(types[index % types.length] as (typeof types)[number]);
    const { notif_type: type, subject, event_id: id } = event;
    const sinks = { slack: 'delivered', ops: index % 5 === 0 ? 'it failed' : 'delivered' };
    return JSON.stringify(deliveryOf(JSON.stringify(event), { number: index + 1, type, subject, id, sinks }));
  });
  writeFileSync(history, `${lines.join('\n')}\n`);
  const session = await startDev(['--history', history], { VAST_WEBHOOK_SECRET: secret });
  const page = await browser.newPage();
  await browser.startTracing(page, { categories: ['toplevel', 'v8', 'devtools.timeline', '__metadata'] });
  await page.goto(await session.pageUrl());
  await page.getByText('Connected', { exact: true }).waitFor();
  await page.getByRole('button', { name: `all ${kept}` }).waitFor();

  const list = page.getByRole('listbox');
  expect(await list.evaluate(scrollThrough)).toBeGreaterThan(kept * 20);
  expect(await page.locator('.line').count()).toBeLessThan(80);
  expect(await page.locator('.line').first().getAttribute('aria-setsize')).toBe(String(kept));
  await page.getByLabel('Filter by text').evaluate(typeInto, 'instance');
  await page.getByLabel('Filter by text').evaluate(typeInto, '');
  // They come in bursts, while the list is scrolled.
  const url = await session.receiverUrl();
  const bursts = Array.from({ length: 60 }, () => {
    const { body, headers } = signedDelivery(sampleEvent('outbid'), secret);
    return fetch(url, { method: 'POST', body, headers });
  });
  await Promise.all([...bursts, list.evaluate(scrollThrough)]);
  await page.getByRole('button', { name: 'accepted' }).click();
  await list.press('Home');
  await page.locator(`#row-${kept + 60}`).waitFor();

  const trace = JSON.parse((await browser.stopTracing()).toString());
  await page.close();
  const tasks = tasksOf(trace.traceEvents);
  expect(tasks.length).toBeGreaterThan(100);
  return tasks.slice(0, 50).reduce((sum, ms) => sum + ms, 0);
}

interface TraceEvent {
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  /** Microseconds of the clock, and of the thread's processor time. */
  readonly ts: number;
  readonly dur?: number;
  readonly tdur?: number;
  readonly args?: { readonly name?: string };
}

/**
 * How long the tasks of the page's main thread took, the longest first, in milliseconds of its own processor time: what
 * else the machine does meanwhile is not counted. Nor are Playwright's own scripts, which are modules, of which the page
 * has none, and the page's start before there is any delivery.
 */
function tasksOf(events: readonly TraceEvent[]): number[] {
  const main = events.filter(({ name, args }) => name === 'thread_name' && args?.name === 'CrRendererMain');
  const onMain = events.filter(({ pid, tid }) => main.some((each) => each.pid === pid && each.tid === tid));
  const left = onMain.filter(({ name }) => name === 'v8.evaluateModule' || name === 'EvaluateScript');
  return onMain
    .filter(({ name }) => name === 'ThreadControllerImpl::RunTask')
    .filter(({ ts, dur = 0 }) => !left.some((each) => each.ts >= ts && each.ts <= ts + dur))
    .map(({ tdur = 0 }) => tdur / 1000)
    .sort((a, b) => b - a);
}
