import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';
import { slackStandIn } from '../support/chat-stand-in.js';
import { openChromium } from '../support/chromium.js';
import { parseAndRun, postForm, showInFrame, styleOf, useFromElsewhere } from './dev-in-browser.js';
import { type DevSession, startDev } from './dev-session.js';

const secret = 'a-secret-that-must-not-be-shown';
const executable = inject('chromium');

describe.skipIf(executable === undefined)('the page of dev, in Chromium', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openChromium(executable as string);
  });
  afterAll(() => browser?.close());

  describe('what it shows', () => {
    it('shows a delivery that arrives, with its verdict, headers, body and sinks', async () => {
      const chat = await slackStandIn();
      onTestFinished(() => chat.close());
      const { page, deliver } = await open(['--slack', chat.url]);
      await page.getByText('None yet.').waitFor();
      await deliver({ ...sampleEvent('outbid'), subject: 'Outbid!' });

      const row = rowOf(page, 1);
      await expectText(row.locator('summary').first(), /#1.*accepted\s*204\s*outbid\s*Outbid!/);
      expect(await page.getByText('None yet.').isVisible()).toBe(false);
      await row.locator('summary').first().click();
      await expectText(row.getByRole('table', { name: 'Sinks' }), /slack-[0-9a-f]{8}\s*delivered/);
      await expectText(row.getByRole('table', { name: 'Headers' }), /X-Vast-Signature-256\s*sha256=[0-9a-f]{64}/);
      await expectText(row.getByRole('region', { name: 'Body, pretty-printed' }), /^\{\n {2}"event_id": "/);
      await row.getByText('Body as sent').click();
      await expectText(row.getByRole('region', { name: 'Body as sent' }), /^\{"event_id":"/);
    });

    it('shows what a sink said when it failed, and not its address', async () => {
      const chat = await slackStandIn();
      onTestFinished(() => chat.close());
      chat.misbehave = (res) => res.writeHead(404).end('no_service');
      const { page, deliver } = await open(['--slack', chat.url]);
      await deliver(sampleEvent('outbid'));
      const row = rowOf(page, 1);
      await row.locator('summary').first().click();
      await expectText(row.locator('summary').first(), /failed\s*502.*sink_failed/);
      await expectText(
        row.getByRole('table', { name: 'Sinks' }),
        /slack-[0-9a-f]{8}\s*Slack answered 404 \(no_service\)/,
      );
      expect(await page.content()).not.toContain(chat.token);
    });

    it('shows a refused delivery with its reason and its body, and what came before the page did', async () => {
      const session = await startDev([], { VAST_WEBHOOK_SECRET: secret });
      const url = await session.receiverUrl();
      const { body, headers } = signedDelivery(sampleEvent('low_credit'), 'another secret');
      await fetch(url, { method: 'POST', body, headers });
      await fetch(url, { method: 'POST', body });
      const page = await newPage(session);
      await expectText(rowOf(page, 1).locator('summary').first(), /rejected\s*401.*signature_mismatch/);
      await expectText(rowOf(page, 2).locator('summary').first(), /rejected\s*401.*missing_signature/);
      await rowOf(page, 2).locator('summary').first().click();
      await expectText(rowOf(page, 2).getByRole('region', { name: 'Body, pretty-printed' }), /"low_credit"/);
    });

    it('puts the newest first, and says how many milliseconds each took', async () => {
      const { page, deliver } = await open();
      await deliver(sampleEvent('outbid'));
      await deliver(sampleEvent('low_credit'));
      await rowOf(page, 2).waitFor();
      const first = page.locator('#deliveries > li').first();
      await expectText(first.locator('summary').first(), /^#2/);
      await first.locator('summary').first().click();
      await expectText(first.locator('dl'), /Answered in\s*\d+\.\d ms/);
    });

    it('keeps the last 200', async () => {
      const { page, deliver } = await open();
      for (let sent = 0; sent < 205; sent++) await deliver(sampleEvent('outbid'));
      await rowOf(page, 205).waitFor();
      expect(await page.locator('#deliveries > li').count()).toBe(200);
      await page.reload();
      await rowOf(page, 205).waitFor();
      expect(await page.locator('#deliveries > li').count()).toBe(200);
      expect(await rowOf(page, 5).count()).toBe(0);
    });

    it('never holds the secret', async () => {
      const { page, deliver } = await open();
      await deliver(sampleEvent('outbid'));
      await rowOf(page, 1).locator('summary').first().click();
      expect(await page.content()).not.toContain(secret);
    });

    it('says when dev has ended', async () => {
      const { page, session } = await open();
      session.io.interrupt();
      await session.ended;
      await page.getByText('Not connected').waitFor();
    });
  });

  describe('hostile text', () => {
    const hostile = {
      markup: '<img src=x onerror="document.title=\'owned\'">',
      'the end of a script': '</script><script>document.title="owned"</script>',
      'the end of an event': 'a\n\nevent: start\ndata: {"run":"x"}\n\n',
      'a template': '{{token}} $& $`',
    };
    for (const [what, text] of Object.entries(hostile)) {
      it(`stays text: ${what}`, async () => {
        const { page, deliver } = await open();
        const event = { ...sampleEvent('outbid'), event_id: text.replace(/\n/g, ''), notif_type: text, subject: text };
        await deliver(event, { 'X-Hostile': text.replace(/\n/g, ' ') });
        const row = rowOf(page, 1);
        await row.locator('summary').first().click();
        await expectText(row.locator('summary').first(), new RegExp(escapeRegExp(text.split('\n')[0] as string)));
        await row.getByRole('table', { name: 'Headers' }).getByText('X-Hostile').waitFor();
        expect(await page.title()).toBe('vast-webhook dev');
        expect(await page.locator('#deliveries img, #deliveries script').count()).toBe(0);
      });
    }

    it('writes out marks that turn the direction or hide', async () => {
      const { page, deliver } = await open();
      const subject = 'invoice\u202efdp.exe\u2066\u200b\u0007\ufeff';
      await deliver({ ...sampleEvent('outbid'), subject });
      const row = rowOf(page, 1);
      await expectText(row.locator('summary').first(), /invoice\\u202efdp\.exe\\u2066\\u200b\\u0007\\ufeff/);
      await row.locator('summary').first().click();
      const text = await row.textContent();
      for (const mark of subject.replace(/[ -~]/g, '')) expect(text).not.toContain(mark);
    });

    it('leaves letters of all scripts and emoji as they are', async () => {
      const { page, deliver } = await open();
      const subject = 'مرحبا שלום 你好 👩‍💻 é';
      await deliver({ ...sampleEvent('outbid'), subject });
      await rowOf(page, 1).getByText(subject).waitFor();
    });

    it('could be neither parsed as markup nor run as a script, even if it were let through', async () => {
      const { session } = await open();
      const page = await browser.newPage();
      onTestFinished(() => page.close());
      await page.goto(await session.pageUrl());
      await page.evaluate(parseAndRun);
      await page.waitForTimeout(200);
      expect(await page.title()).toBe('vast-webhook dev');
      expect(await page.locator('#markup').count()).toBe(0);
    });
  });

  describe('by keyboard alone', () => {
    it('triggers any type', async () => {
      const { page } = await open();
      await page.getByRole('option', { name: 'outbid' }).waitFor({ state: 'attached' });
      await tabTo(page, page.getByLabel('Type'));
      await page.keyboard.type('outbid');
      await page.keyboard.press('Tab');
      await expectFocus(page.getByRole('button', { name: 'Sign and send' }));
      await page.keyboard.press('Enter');
      await expectText(rowOf(page, 1).locator('summary').first(), /accepted\s*204\s*outbid/);
      await page.getByText('Sent, and the answer was 204.').waitFor();
    });

    it('opens a delivery, signs it afresh and sends it again', async () => {
      const { page, deliver, url } = await open();
      const { body, headers } = signedDelivery(sampleEvent('outbid'), secret, { timestamp: 1_700_000_000 });
      await fetch(url, { method: 'POST', body, headers });
      await deliver(sampleEvent('low_credit'));
      const row = rowOf(page, 1);
      await expectText(row.locator('summary').first(), /stale_timestamp/);
      await tabTo(page, row.locator('summary').first());
      await page.keyboard.press('Enter');
      await page.keyboard.press('Tab');
      await expectFocus(row.getByRole('button', { name: 'Sign afresh and send again' }));
      await page.keyboard.press('Space');
      await expectText(rowOf(page, 3).locator('summary').first(), /accepted\s*204\s*outbid/);
      // Whatever arrives meanwhile, the focus stays.
      await expectFocus(row.getByRole('button', { name: 'Sign afresh and send again' }));
      await page.keyboard.press('Enter');
      await expectText(rowOf(page, 4).locator('summary').first(), /duplicate\s*204\s*outbid/);
    });

    it('says why a delivery cannot be sent again', async () => {
      const { page, url } = await open();
      await fetch(url);
      const row = rowOf(page, 1);
      await expectText(row.locator('summary').first(), /rejected\s*405.*method_not_allowed/);
      await row.locator('summary').first().click();
      const button = row.getByRole('button', { name: 'Sign afresh and send again' });
      await expect.poll(() => button.getAttribute('aria-disabled')).toBe('true');
      expect(await button.getAttribute('aria-describedby')).toBe('why-not-1');
      await expectText(page.locator('#why-not-1'), /had no body/);
    });

    it('shows where the focus is, on everything that takes it', async () => {
      const { page, deliver } = await open();
      await deliver(sampleEvent('outbid'));
      await rowOf(page, 1).waitFor();
      const seen: string[] = [];
      for (let tabs = 0; tabs < 6; tabs++) {
        await page.keyboard.press('Tab');
        const focused = page.locator(':focus');
        expect(await focused.evaluate(styleOf, 'outline')).toMatch(/solid 3px/);
        seen.push(await focused.evaluate((it) => it.tagName));
        // Opens the delivery.
        if (tabs === 2) await page.keyboard.press('Enter');
      }
      expect(seen).toEqual(['SELECT', 'BUTTON', 'SUMMARY', 'BUTTON', 'PRE', 'SUMMARY']);
    });
  });

  describe('with a screen reader', () => {
    it('has landmarks, headings, labels and a language', async () => {
      const { page, deliver } = await open();
      await deliver(sampleEvent('outbid'));
      await rowOf(page, 1).waitFor();
      expect(await page.locator('html').getAttribute('lang')).toBe('en');
      await page.getByRole('banner').getByRole('heading', { level: 1, name: 'vast-webhook dev' }).waitFor();
      const main = page.getByRole('main');
      await main.getByRole('region', { name: 'Trigger a sample' }).getByRole('combobox', { name: 'Type' }).waitFor();
      await main.getByRole('region', { name: 'Deliveries' }).getByRole('list', { name: 'Deliveries' }).waitFor();
      expect(await page.getByRole('button', { name: /^$/ }).count()).toBe(0);
    });

    it('announces the newest delivery, and not those from before', async () => {
      const { page, deliver, session } = await open();
      await deliver(sampleEvent('low_credit'));
      const news = page.getByRole('log', { name: 'Newest delivery' });
      expect(await news.getAttribute('aria-live')).toBe('polite');
      await expectText(news, /Delivery 1: accepted, 204, low_credit/);
      const later = await newPage(session);
      await rowOf(later, 1).waitFor();
      await later.waitForTimeout(500);
      expect(await later.locator('#news').textContent()).toBe('');
    });

    it('does without motion where it is not wanted, and in dark where that is', async () => {
      const { page, deliver } = await open();
      await page.emulateMedia({ reducedMotion: 'reduce', colorScheme: 'dark' });
      await deliver(sampleEvent('outbid'));
      await rowOf(page, 1).waitFor();
      expect(await rowOf(page, 1).evaluate(styleOf, 'animationName')).toBe('none');
      const colour: string = await page.getByRole('banner').evaluate(styleOf, 'backgroundColor');
      expect(Math.max(...(colour.match(/\d+/g) ?? []).slice(0, 3).map(Number))).toBeLessThan(80);
    });
  });

  describe('a page of another origin', () => {
    it('can neither read nor drive it', async () => {
      const { session } = await open();
      const pageUrl = await session.pageUrl();
      const elsewhere = await otherOrigin();
      const page = await browser.newPage();
      onTestFinished(() => page.close());
      await page.goto(elsewhere);
      expect(await page.evaluate(useFromElsewhere, pageUrl)).toEqual({
        json: 'failed',
        token: 'failed',
        text: 'failed',
        page: 'failed',
        pageUnread: 'failed',
        events: 'failed',
      });
      expect(session.io.out).not.toMatch(/accepted|duplicate/);
    });

    it('can post no form', async () => {
      const { session } = await open();
      const page = await browser.newPage();
      onTestFinished(() => page.close());
      await page.goto(await otherOrigin());
      const [response] = await Promise.all([
        page.waitForResponse(/trigger/),
        page.evaluate(postForm, `${await session.pageUrl()}trigger`),
      ]);
      expect(response.status()).toBe(403);
      expect(session.io.out).not.toContain('accepted');
    });

    it('can show it in no frame', async () => {
      const { session } = await open();
      const page = await browser.newPage();
      onTestFinished(() => page.close());
      await page.goto(await otherOrigin());
      await page.evaluate(showInFrame, await session.pageUrl());
      await page.waitForTimeout(500);
      const titles = await Promise.all(page.frames().map((frame) => frame.title().catch(() => '')));
      expect(titles).not.toContain('vast-webhook dev');
    });
  });

  async function open(args: readonly string[] = []) {
    const session = await startDev(args, { VAST_WEBHOOK_SECRET: secret });
    const url = await session.receiverUrl();
    const page = await newPage(session);
    const deliver = async (event: object, more: Record<string, string> = {}) => {
      const { body, headers } = signedDelivery(event, secret);
      // An id of the sender's own need not fit into a header.
      const { 'X-Vast-Event-Id': _, ...rest } = headers;
      await fetch(url, { method: 'POST', body, headers: { ...rest, ...more } });
    };
    return { session, url, page, deliver };
  }

  /** Connected, and held to say nothing to the console: not even of what the policy forbids. */
  async function newPage(session: DevSession): Promise<Page> {
    const page = await browser.newPage();
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      // That dev has ended is no fault of the page.
      if (message.type() === 'error' && !/ERR_(CONNECTION|INCOMPLETE)/.test(message.text()))
        complaints.push(message.text());
    });
    onTestFinished(async () => {
      await page.close();
      expect(complaints).toEqual([]);
    });
    await page.goto(await session.pageUrl());
    await page.getByText('Connected', { exact: true }).waitFor();
    return page;
  }
});

const rowOf = (page: Page, number: number) =>
  page.locator('#deliveries > li').filter({ has: page.getByText(`#${number}`, { exact: true }) });

async function expectText(locator: Locator, pattern: RegExp): Promise<void> {
  await expect.poll(() => locator.textContent()).toMatch(pattern);
}

async function expectFocus(locator: Locator): Promise<void> {
  await locator.and(locator.page().locator(':focus')).waitFor();
}

async function tabTo(page: Page, locator: Locator): Promise<void> {
  for (let tabs = 0; tabs < 20; tabs++) {
    await page.keyboard.press('Tab');
    if ((await locator.and(page.locator(':focus')).count()) > 0) return;
  }
  throw new Error('it cannot be reached by Tab');
}

/** Another port of loopback: another origin on the same site, which a browser lets closer than a strange site. */
async function otherOrigin(): Promise<string> {
  const server = createServer((_req, res) => {
    res.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>Elsewhere</title><body></body>');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
