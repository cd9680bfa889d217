// Every screen with names of 120 characters in everything: nothing leaves its card or the window, at any width.
import type { Page } from '@playwright/test';
import { Posthorn, type Client } from '../support/posthorn';
import { expect, hydrated, signIn, test } from '../support/test';

const REPORT = '/settings/email/imap-pop3';
const long = (word: string) => word.padEnd(120, 'W');
let posthorn: Posthorn;
let client: Client;
const ids: Record<string, number> = {};

test.beforeAll(async () => {
  posthorn = await Posthorn.start();
  await posthorn.addUser('ana', 'administrator');
  client = await posthorn.client('ana');
  ids.credential = await client.add('/credentials', { name: long('Credential'), username: long('user'), secret: 'secret' });
  ids.connector = await client.add('/connectors', { name: long('Connector'), kind: 'socks5', address: '127.0.0.1', port: 1080, credential_id: ids.credential });
  const account = {
    name: long('Account'), address: `${`${'a'.repeat(60)}.`.repeat(3)}example.org`, protocol: 'imap', credential_id: ids.credential,
    use_network_connector: true, network_connector_id: ids.connector, automatic_check: false,
  };
  ids.account = await client.add('/accounts', account);
  const removed = await client.add('/accounts', { ...account, name: long('Removed') });
  await client.call('DELETE', `/accounts/${removed}`);
  ids.smtp = await client.add('/smtp', {
    name: long('Smtp'), address: '127.0.0.1', port: 2525, sender: `${'a'.repeat(60)}@example.org`, secure_connection: false, credential_id: ids.credential,
  });
});
test.afterAll(() => posthorn?.stop());

test.beforeEach(async ({ page }) => signIn(page, posthorn.url, 'ana'));

/** What leaves the window, or the card that it is in, to the right; what a table scrolls by itself does not. */
function outside(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const window = document.documentElement.clientWidth;
    const found = [...document.querySelectorAll('main *')].filter((it) => {
      const box = it.getBoundingClientRect();
      if (box.width === 0 || it.closest('.visually-hidden, [popover]') || it.parentElement?.closest('.table-region')) return false;
      const card = it.parentElement?.closest('.card, .account-form section')?.getBoundingClientRect().right ?? window;
      return box.right > Math.min(window, card) + 1;
    });
    const wide = document.documentElement.scrollWidth - window;
    return [...(wide > 0 ? [`the page by ${wide} px`] : []), ...found.map((it) => `${it.tagName} ${it.textContent?.slice(0, 40)}`)];
  });
}

for (const width of [1440, 1024, 390]) {
  test(`names of 120 characters stay where they belong, ${width} px wide`, async ({ page }) => {
    await page.setViewportSize({ width, height: 900 });
    for (const path of [
      REPORT, `${REPORT}/new`, `${REPORT}/${ids.account}`, `${REPORT}/${ids.account}/inbox`, `${REPORT}/${ids.account}/test`,
      `${REPORT}/${ids.account}/deletions`, `${REPORT}/${ids.account}/quarantine`, `${REPORT}/deleted`,
      '/settings/credentials', `/settings/credentials/${ids.credential}`, `/settings/credentials/rotate/${ids.credential}`,
      '/settings/credentials/oauth/new', '/settings/connectors', `/settings/connectors/${ids.connector}`,
      `/settings/connectors/${ids.connector}/test`, '/settings/email/smtp', `/settings/email/smtp/${ids.smtp}`,
      `/settings/email/smtp/${ids.smtp}/test`, '/settings/email/schedules/new', '/settings/email/notices', '/settings/email/checks',
      '/settings/posture', '/settings/egress', '/settings/audit',
    ]) {
      await page.goto(posthorn.url + path);
      await hydrated(page);
      expect([path, await outside(page)]).toEqual([path, []]);
    }
  });

  test(`health and what to do with an account are in view, ${width} px wide`, async ({ page }) => {
    await page.setViewportSize({ width, height: 900 });
    await page.goto(posthorn.url + REPORT);
    await hydrated(page);
    for (const what of [page.getByText('Not checked yet'), page.getByRole('link', { name: 'Edit account' }), page.getByRole('link', { name: 'View inbox' })]) {
      await expect(what.first()).toBeInViewport({ ratio: 1 });
    }
  });
}

test('the audit log shows what was before and after beside a long subject', async ({ page }) => {
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.goto(`${posthorn.url}/settings/audit?subject=Account`);
  await expect(page.getByText('Show after').first()).toBeInViewport({ ratio: 1 });
});

test('on a phone the settings menu waits behind a button', async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  await page.goto(posthorn.url + REPORT);
  await hydrated(page);
  const link = page.getByRole('navigation', { name: 'Settings menu' }).getByRole('link', { name: 'Audit log' });
  await expect(link).toBeHidden();
  await page.getByRole('button', { name: 'Menu', exact: true }).click();
  await link.click();
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Audit log');
  await expect(link).toBeHidden();
  await page.setViewportSize({ width: 1440, height: 900 });
  await expect(link).toBeVisible();
  await expect(page.getByRole('button', { name: 'Menu', exact: true })).toBeHidden();
});
