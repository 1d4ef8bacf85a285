import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import axe from 'axe-core';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest';
import { chatTitles } from '../../src/cli/dev/chat-messages.js';
import { sampleEvent, signedDelivery } from '../../src/testing/index.js';
import { slackStandIn } from '../support/chat-stand-in.js';
import { openChromium } from '../support/chromium.js';
import {
  idsOf,
  parseAndRun,
  postForm,
  readClipboard,
  runAxe,
  scrollSizeOf,
  showInFrame,
  styleOf,
  useFromElsewhere,
} from './dev-in-browser.js';
import { type DevSession, startDev } from './dev-session.js';
import { receiving } from './receiving.js';

const secret = 'a-secret-that-must-not-be-shown';
const executable = inject('chromium');

describe.skipIf(executable === undefined)('the page of dev, in Chromium', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await openChromium(executable as string);
  });
  afterAll(() => browser?.close());

  describe('what it shows', () => {
    it('shows a delivery that arrives in one line, and all of it beside the list', async () => {
      const chat = await slackStandIn();
      onTestFinished(() => chat.close());
      const { page, deliver } = await open(['--slack', chat.url]);
      await page.getByText('Nothing has arrived yet').waitFor();
      await deliver({ ...sampleEvent('outbid'), subject: 'Outbid!' });

      const line = lineOf(page, 1);
      await expectText(line, /accepted\s*204\s*outbid\s*Outbid!\s*slack-[0-9a-f]{8} delivered\s*\d+(\.\d)? ms/);
      expect(await page.getByText('Nothing has arrived yet').count()).toBe(0);
      await line.click();
      const detail = page.getByRole('article', { name: /accepted 204 outbid #1/ });
      await expectText(detail.getByRole('table', { name: 'Sinks' }), /slack-[0-9a-f]{8}\s*delivered/);
      await expectText(detail.getByRole('table', { name: 'Headers' }), /X-Vast-Signature-256\s*sha256=[0-9a-f]{64}/);
      await expectText(detail.getByRole('region', { name: 'Body as sent' }), /^\{"event_id":"/);
      await detail.getByRole('button', { name: 'In lines' }).click();
      await expectText(detail.getByRole('region', { name: 'Body in lines' }), /^\{\n {2}"event_id": "/);
    });

    it('shows what a sink said when it failed, and not its address', async () => {
      const chat = await slackStandIn();
      onTestFinished(() => chat.close());
      chat.misbehave = (res) => res.writeHead(404).end('no_service');
      const { page, deliver } = await open(['--slack', chat.url]);
      await deliver(sampleEvent('outbid'));
      await expectText(lineOf(page, 1), /failed\s*502.*sink_failed.*slack-[0-9a-f]{8} failed/);
      await lineOf(page, 1).click();
      await expectText(page.getByRole('table', { name: 'Sinks' }), /Slack answered 404 \(no_service\)/);
      await page.getByRole('heading', { name: 'Why it was not taken' }).waitFor();
      expect(await page.content()).not.toContain(chat.token);
    });

    it('says why a delivery was refused in the words of verify, and shows what came before the page did', async () => {
      const session = await startDev([], { VAST_WEBHOOK_SECRET: secret, OLD_WEBHOOK_SECRET: 'another secret' });
      const url = await session.receiverUrl();
      await post(url, signedDelivery(sampleEvent('low_credit'), 'another secret'));
      await fetch(url, { method: 'POST', body: '{"notif_type":"low_credit"}' });
      const page = await newPage(session);
      await expectText(lineOf(page, 1), /rejected\s*401.*signature_mismatch/);
      await lineOf(page, 1).click();
      const why = page.getByRole('region', { name: 'Why it was refused' });
      await expectText(why, /signed with the secret in OLD_WEBHOOK_SECRET of the environment, and checked with/);
      await expectText(why, /What to do: use OLD_WEBHOOK_SECRET/);
      await lineOf(page, 2).click();
      await expectText(why, /there is no X-Vast-Signature-256 header/);
    });

    it('marks what a re-serialisation would change', async () => {
      const { page, url } = await open();
      await post(url, signedDelivery('{"event_id": "a", "notif_type":"outbid","x":1.0,"s":"\\u00fc"}', secret));
      await lineOf(page, 1).click();
      await page.getByText('Parsed and printed again, 11 bytes of it would change').waitFor();
      const marks = page.getByRole('region', { name: 'Body as sent' }).locator('mark');
      expect(await marks.allTextContents()).toEqual([' ', ' ', '1.0', '\\u00fc']);
      expect(await marks.nth(2).getAttribute('title')).toBe('would become 1');
    });

    it('shows a body that is no text, byte by byte', async () => {
      const { page, url } = await open();
      await fetch(url, { method: 'POST', body: new Uint8Array([0x41, 0xff, 0x00]) });
      await lineOf(page, 1).click();
      await expectText(page.getByRole('region', { name: 'Body as sent' }), /^A\\xff\\x00$/);
    });

    it('shows how the message looks in each chat, and what would be sent', async () => {
      const { page, deliver } = await open();
      await deliver({ ...sampleEvent('outbid'), subject: 'Outbid <!channel>' });
      await lineOf(page, 1).click();
      const messages = page.getByRole('region', { name: 'In chats' });
      await messages.getByText('Outbid <!channel>', { exact: true }).waitFor();
      const names = await messages.getByLabel('Chat').locator('option').allTextContents();
      expect(names).toEqual(chatTitles.map(([, title]) => title));
      await messages.getByLabel('Chat').selectOption('Discord');
      await messages.getByText('What is sent to Discord').click();
      await expectText(messages.getByRole('region', { name: 'What is sent to Discord' }), /"allowed_mentions"/);
    });

    it('shows how the app answered to which deliveries are passed on', async () => {
      const app = await receiving((res) => res.writeHead(500).end('it broke'));
      const { page, deliver } = await open(['--forward-to', app.url]);
      await expectText(page.getByRole('banner'), new RegExp(`passes on to ${escapeRegExp(app.url)}`));
      await deliver(sampleEvent('outbid'));
      await expectText(lineOf(page, 1), /accepted.*your app: 500/);
      await lineOf(page, 1).click();
      await expectText(page.getByRole('region', { name: 'Your app', exact: true }), /It answered 500 in .*it broke/s);
    });

    it('says where deliveries are expected, and sends the first one', async () => {
      const { page, url } = await open(['--tunnel-url', 'https://hooks.example.com']);
      const empty = page.getByRole('region', { name: 'Nothing has arrived yet' });
      await expectText(empty, new RegExp(escapeRegExp(url)));
      await expectText(empty, /https:\/\/hooks\.example\.com\/vast\/webhooks/);
      await expectText(empty, new RegExp(`npx vast-webhook trigger outbid --url ${escapeRegExp(url)}`));
      await empty.getByRole('button', { name: 'Send a webhook_test' }).click();
      await expectText(lineOf(page, 1), /accepted\s*204\s*webhook_test/);
    });

    it('puts the newest first, counts, and filters by verdict, type and text', async () => {
      const { page, deliver, url } = await open();
      await deliver(sampleEvent('outbid'));
      await deliver({ ...sampleEvent('low_credit'), subject: 'Needle in it' });
      await fetch(url, { method: 'POST', body: '{}' });
      await lineOf(page, 3).waitFor();
      const numbers = () => page.getByRole('option').evaluateAll(idsOf);
      const chips = page.getByRole('group', { name: 'Filter by verdict' });
      expect(await numbers()).toEqual(['row-3', 'row-2', 'row-1']);
      await expectText(chips, /all 3.*accepted 2.*duplicate 0.*rejected 1.*failed 0/);
      await chips.getByRole('button', { name: 'accepted' }).click();
      await expect.poll(numbers).toEqual(['row-2', 'row-1']);
      await page.getByLabel('Filter by type').selectOption('low_credit');
      await expect.poll(numbers).toEqual(['row-2']);
      await expectText(chips, /all 1.*accepted 1.*duplicate 0.*rejected 0/);
      await page.getByLabel('Filter by text').fill('nothing like it');
      await page.getByText('No delivery matches the filter').waitFor();
      await page.getByRole('button', { name: 'Show all 3' }).click();
      await page.getByLabel('Filter by text').fill('needle');
      await expect.poll(numbers).toEqual(['row-2']);
    });

    it('never holds the secret', async () => {
      const { page, deliver } = await open();
      await deliver(sampleEvent('outbid'));
      await lineOf(page, 1).click();
      await page.getByRole('table', { name: 'Headers' }).waitFor();
      expect(await page.content()).not.toContain(secret);
    });

    it('says when dev has ended', async () => {
      const { page, session } = await open();
      session.io.interrupt();
      await session.ended;
      await page.getByText('Not connected').waitFor();
    });
  });

  describe('what it sends', () => {
    it('sends again, says that it was a duplicate, and offers a new event id', async () => {
      const { page, deliver } = await open();
      await deliver(sampleEvent('outbid'));
      await lineOf(page, 1).click();
      await page.getByRole('button', { name: 'Send again' }).click();
      await page.getByText('It was a duplicate: this event was taken before.').waitFor();
      await expectText(lineOf(page, 2), /duplicate\s*204\s*outbid/);
      await page.getByRole('button', { name: 'Send it with a new event id' }).click();
      await expectText(lineOf(page, 3), /accepted\s*204\s*outbid/);
    });

    it('sends to an address of loopback, and to no other', async () => {
      const app = await receiving();
      const { page } = await open();
      const to = page.getByLabel('to', { exact: true });
      const button = page.getByRole('button', { name: 'Sign and send' });
      await to.fill(app.url);
      await button.click();
      await page.getByText(`Sent to ${app.url}, and the answer was 204.`).waitFor();
      expect(app.received).toHaveLength(1);
      for (const url of ['http://192.168.0.1/', 'http://127.0.0.1.example.com/', 'https://example.com/x']) {
        await to.fill(url);
        await button.click();
        await page.getByText('Give an address of loopback, or that of --forward-to').waitFor();
        await to.fill('file:///etc/passwd');
        await button.click();
        await page.getByText('Give an address such as').waitFor();
      }
    });

    it('copies as curl, as JSON and as a test', async () => {
      const { page, deliver } = await open();
      await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
      await deliver(sampleEvent('outbid'));
      await lineOf(page, 1).click();
      for (const [name, pattern] of [
        ['curl', /^body='\{"event_id".*curl -i /s],
        ['JSON', /^\{\n {2}"method": "POST"/],
        ['test', /^import \{ signedDelivery \} from 'vast-webhook\/testing';/],
      ] as const) {
        await page.getByRole('button', { name, exact: true }).click();
        await expect.poll(() => page.evaluate(readClipboard)).toMatch(pattern);
      }
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
        await expectText(lineOf(page, 1), new RegExp(escapeRegExp(text.split('\n')[0] as string)));
        await lineOf(page, 1).click();
        await page.getByRole('table', { name: 'Headers' }).getByText('X-Hostile').waitFor();
        await page.getByRole('region', { name: 'In chats' }).getByLabel('Chat').waitFor();
        expect(await page.title()).toBe('vast-webhook dev');
        expect(await page.locator('#app img, #app script').count()).toBe(0);
      });
    }

    it('writes out marks that turn the direction or hide', async () => {
      const { page, deliver } = await open();
      const subject = 'invoice\u202efdp.exe\u2066\u200b\u0007\ufeff';
      await deliver({ ...sampleEvent('outbid'), subject });
      await expectText(lineOf(page, 1), /invoice\\u202efdp\.exe\\u2066\\u200b\\u0007\\ufeff/);
      await lineOf(page, 1).click();
      await page.getByRole('region', { name: 'Body as sent' }).waitFor();
      const text = await page.locator('#app').textContent();
      for (const mark of subject.replace(/[ -~]/g, '')) expect(text).not.toContain(mark);
    });

    it('leaves letters of all scripts and emoji as they are', async () => {
      const { page, deliver } = await open();
      const subject = 'مرحبا שלום 你好 👩‍💻 é';
      await deliver({ ...sampleEvent('outbid'), subject });
      await lineOf(page, 1).getByText(subject).waitFor();
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
      await tabTo(page, page.getByRole('combobox', { name: 'Sample' }));
      await page.keyboard.type('outbid');
      await page.keyboard.press('Tab');
      await page.keyboard.press('Tab');
      await expectFocus(page.getByRole('button', { name: 'Sign and send' }));
      await page.keyboard.press('Enter');
      await expectText(lineOf(page, 1), /accepted\s*204\s*outbid/);
      await page.getByText('Sent, and the answer was 204.').waitFor();
    });

    it('goes through the list, reads a delivery, sends it again and goes back', async () => {
      const { page, deliver, url } = await open();
      await post(url, signedDelivery(sampleEvent('outbid'), secret, { timestamp: 1_700_000_000 }));
      await deliver(sampleEvent('low_credit'));
      const list = page.getByRole('listbox', { name: 'Deliveries' });
      await tabTo(page, list);
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('ArrowDown');
      expect(await list.getAttribute('aria-activedescendant')).toBe('row-1');
      expect(await lineOf(page, 1).getAttribute('aria-selected')).toBe('true');
      await page.keyboard.press('Enter');
      await expectFocus(page.getByRole('heading', { level: 2, name: /rejected.*#1/ }));
      await page.getByText('it arrived').first().waitFor();
      await page.keyboard.press('Tab');
      await expectFocus(page.getByRole('button', { name: 'Send again' }));
      await page.keyboard.press('Space');
      await expectText(lineOf(page, 3), /accepted\s*204\s*outbid/);
      // Whatever arrives meanwhile, the focus stays.
      await expectFocus(page.getByRole('button', { name: 'Send again' }));
      await page.keyboard.press('Escape');
      await expectFocus(list);
      await page.keyboard.press('Home');
      expect(await list.getAttribute('aria-activedescendant')).toBe('row-3');
      await page.keyboard.press('/');
      await expectFocus(page.getByLabel('Filter by text'));
    });

    it('says why a delivery cannot be sent again', async () => {
      const { page, url } = await open();
      await fetch(url);
      await expectText(lineOf(page, 1), /rejected\s*405.*method_not_allowed/);
      await lineOf(page, 1).click();
      const button = page.getByRole('button', { name: 'Send again' });
      await expect.poll(() => button.getAttribute('aria-disabled')).toBe('true');
      expect(await button.getAttribute('aria-describedby')).toBe('resend-note');
      await expectText(page.locator('#resend-note'), /had no body/);
    });

    it('shows where the focus is, on everything that takes it', async () => {
      const { page, deliver } = await open();
      await deliver(sampleEvent('outbid'));
      await lineOf(page, 1).click();
      await page.getByRole('region', { name: 'In chats' }).getByLabel('Chat').waitFor();
      await page.getByRole('combobox', { name: 'Sample' }).focus();
      for (let tabs = 0; tabs < 22; tabs++) {
        const focused = page.locator(':focus');
        expect(await focused.evaluate(styleOf, 'outline')).toMatch(/solid 3px/);
        await page.keyboard.press('Tab');
        if ((await focused.count()) === 0) return;
      }
    });
  });

  describe('with a screen reader', () => {
    it('has landmarks, headings, labels and a language', async () => {
      const { page, deliver } = await open();
      await deliver(sampleEvent('outbid'));
      await lineOf(page, 1).waitFor();
      expect(await page.locator('html').getAttribute('lang')).toBe('en');
      await page.getByRole('banner').getByRole('heading', { level: 1, name: 'vast-webhook dev' }).waitFor();
      await page.getByRole('form', { name: 'Send a sample' }).getByRole('combobox', { name: 'Sample' }).waitFor();
      const main = page.getByRole('main');
      await main.getByRole('region', { name: 'All deliveries' }).getByRole('listbox', { name: 'Deliveries' }).waitFor();
      expect(await page.getByRole('button', { name: /^$/ }).count()).toBe(0);
    });

    it('announces the newest delivery, and not those from before', async () => {
      const { page, deliver, session } = await open();
      await deliver(sampleEvent('low_credit'));
      const news = page.getByRole('log', { name: 'Newest delivery' });
      expect(await news.getAttribute('aria-live')).toBe('polite');
      await expectText(news, /Delivery 1: accepted, 204, low_credit/);
      const later = await newPage(session);
      await lineOf(later, 1).waitFor();
      await later.waitForTimeout(500);
      expect(await later.locator('#news').textContent()).toBe('');
    });

    for (const colorScheme of ['light', 'dark'] as const) {
      it(`has no finding of axe in ${colorScheme}, empty, taken, refused and on a phone`, async () => {
        const app = await receiving();
        const chat = await slackStandIn();
        onTestFinished(() => chat.close());
        const { page, deliver, url } = await open(['--forward-to', app.url, '--slack', chat.url]);
        // Without motion, because colours that change gradually have little contrast for a moment.
        await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        await expectNoFindings(page);
        await deliver(sampleEvent('outbid'));
        await post(url, signedDelivery(sampleEvent('low_credit'), 'another secret'));
        // A new line moves the others down, so that a click would hit another one.
        await lineOf(page, 2).waitFor();
        await lineOf(page, 1).click();
        await page.getByRole('region', { name: 'In chats' }).getByLabel('Chat').waitFor();
        await expectNoFindings(page);
        await page.getByRole('button', { name: 'Send again' }).click();
        await page.getByRole('button', { name: 'Send it with a new event id' }).waitFor();
        await lineOf(page, 3).waitFor();
        await lineOf(page, 2).click();
        await page.getByRole('region', { name: 'Why it was refused' }).waitFor();
        await expectNoFindings(page);
        await page.setViewportSize({ width: 390, height: 844 });
        await expectNoFindings(page);
        await lineOf(page, 2).click();
        await page.getByRole('button', { name: 'All deliveries' }).waitFor();
        await expectNoFindings(page);
      });
    }

    it('is light or dark as the system is, and does without motion where it is not wanted', async () => {
      const { page, deliver } = await open();
      await page.emulateMedia({ reducedMotion: 'reduce', colorScheme: 'dark' });
      await deliver(sampleEvent('outbid'));
      expect(await lineOf(page, 1).evaluate(styleOf, 'transitionDuration')).toBe('0s');
      const brightness = async () => {
        const colour: string = await page.locator('body').evaluate(styleOf, 'backgroundColor');
        return Math.max(...(colour.match(/[\d.]+/g) ?? []).slice(0, 3).map(Number));
      };
      expect(await brightness()).toBeLessThan(80);
      await page.emulateMedia({ colorScheme: 'light' });
      expect(await brightness()).toBeGreaterThan(200);
    });
  });

  describe('its layout', () => {
    for (const [width, height] of [
      [1440, 900],
      [1024, 768],
    ] as const) {
      it(`has list and detail side by side at ${width}`, async () => {
        const { page, deliver } = await open();
        await page.setViewportSize({ width, height });
        for (let count = 0; count < 3; count++) await deliver(sampleEvent('outbid'));
        await lineOf(page, 3).click();
        await page.getByRole('table', { name: 'Headers' }).waitFor();
        const [list, detail, line, next] = await Promise.all([
          box(page.getByRole('listbox')),
          box(page.getByRole('article')),
          box(lineOf(page, 3)),
          box(lineOf(page, 2)),
        ]);
        expect(list.x + list.width).toBeLessThanOrEqual(detail.x);
        expect(Math.abs(detail.y - list.y)).toBeLessThan(120);
        expect(line.height).toBeLessThan(40);
        expect(next.y - line.y).toBeCloseTo(line.height, 0);
        expect(list.width).toBeGreaterThan(width * 0.4);
        await expectInside(page, width, height);
        const subject = await box(lineOf(page, 3).locator('.subject'));
        expect(subject.width).toBeGreaterThan(80);
      });
    }

    it('has one pane on a phone, large enough for a finger, and a way back', async () => {
      const { page, deliver } = await open();
      await page.setViewportSize({ width: 390, height: 844 });
      for (let count = 0; count < 3; count++) await deliver(sampleEvent('outbid'));
      expect((await box(lineOf(page, 2))).height).toBeGreaterThan(44);
      expect((await box(page.getByRole('listbox'))).height).toBeGreaterThan(844 / 2);
      await expectInside(page, 390, 844);
      await lineOf(page, 2).click();
      await page.getByRole('table', { name: 'Headers' }).waitFor();
      expect(await page.getByRole('listbox').isVisible()).toBe(false);
      await expectInside(page, 390, 844);
      await page.goBack();
      await page.getByRole('listbox').waitFor();
      expect(await page.getByRole('article').isVisible()).toBe(false);
      await lineOf(page, 2).click();
      const back = page.getByRole('button', { name: 'All deliveries' });
      expect((await box(back)).height).toBeGreaterThanOrEqual(44);
      await back.click();
      await page.getByRole('listbox').waitFor();
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
      // That dev has ended, or refuses an order, is no fault of the page.
      if (message.type() === 'error' && !/ERR_(CONNECTION|INCOMPLETE)|status of 400/.test(message.text()))
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

const lineOf = (page: Page, number: number) => page.locator(`#row-${number}`);

async function post(url: string, { body, headers }: { body: string; headers: Readonly<Record<string, string>> }) {
  await fetch(url, { method: 'POST', body, headers: { ...headers } });
}

async function box(locator: Locator) {
  const found = await locator.boundingBox();
  if (found === null) throw new Error('it cannot be seen');
  return found;
}

/** Nothing makes the window scroll: the panes do. */
async function expectInside(page: Page, width: number, height: number): Promise<void> {
  expect(await page.evaluate(scrollSizeOf)).toEqual([width, height]);
}

/** By the rules of axe, all of them. */
async function expectNoFindings(page: Page): Promise<void> {
  await page.evaluate(axe.source);
  const findings = await page.evaluate(runAxe);
  expect(findings).toEqual([]);
}

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
