// Filters and the browser's history; keys that must not send a form.
import { Posthorn } from '../support/posthorn';
import { expect, hydrated, signIn, test } from '../support/test';

const REPORT = '/settings/email/imap-pop3';
let posthorn: Posthorn;

test.beforeAll(async () => {
  posthorn = await Posthorn.start();
  await posthorn.addUser('ana', 'administrator');
  const client = await posthorn.client('ana');
  let credential = 0;
  for (let n = 1; n <= 15; n += 1) {
    credential = await client.add('/credentials', { name: `Credential ${n}`, username: `user${n}`, secret: 'pass' });
  }
  for (let n = 1; n <= 40; n += 1) {
    await client.add('/accounts', {
      name: `Account ${String(n).padStart(3, '0')}`, address: 'mail.example.org', credential_id: credential, protocol: 'imap',
      automatic_check: false, enabled: n % 2 === 0,
    });
  }
});
test.afterAll(() => posthorn?.stop());

const open = async (page: import('@playwright/test').Page, path: string) => {
  await signIn(page, posthorn.url, 'ana');
  await page.goto(posthorn.url + path);
  await hydrated(page);
};

test('a search is left without a fault right after a letter', async ({ page }) => {
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  await open(page, REPORT);
  for (const name of ['New', 'Credentials']) {
    await page.getByLabel('Name', { exact: true }).fill('acc');
    await page.getByRole('link', { name, exact: true }).first().click();
    await expect(page).not.toHaveURL(/name=acc/);
    // Longer than the pause after which the search would have begun.
    await page.waitForFunction((from) => performance.now() - from > 400, await page.evaluate(() => performance.now()));
    await page.getByRole('link', { name: 'IMAP Configuration / POP3' }).first().click();
    await expect(page.getByText('1-30 of 40')).toBeVisible();
  }
  expect(faults).toEqual([]);
});

test('Back walks the filters, and what one typed at once is one step', async ({ page }) => {
  await open(page, REPORT);
  const name = page.getByLabel('Name', { exact: true });
  await page.getByRole('button', { name: 'More' }).click();
  await page.getByLabel('Status').selectOption('Disabled');
  await expect(page.getByText('1-20 of 20')).toBeVisible();
  await name.fill('account 0');
  await expect(page).toHaveURL(/name=account%200&/);
  await name.fill('account 001');
  await expect(page.getByText('1-1 of 1')).toBeVisible();
  await page.goBack();
  await expect(page.getByText('1-20 of 20')).toBeVisible();
  await expect(name).toHaveValue('');
  await expect(page.getByLabel('Status')).toHaveValue('disabled');
  await page.goBack();
  await expect(page.getByText('1-30 of 40')).toBeVisible();
});

test('Enter in the search for a credential does not save', async ({ page }) => {
  await open(page, `${REPORT}/new`);
  const search = page.getByLabel('Search credentials');
  await search.fill('credential 12');
  await search.press('Enter');
  await expect(page.getByRole('heading', { name: 'There is a problem' })).toHaveCount(0);
  await expect(page).toHaveURL(`${posthorn.url}${REPORT}/new`);
});
