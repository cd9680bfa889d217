// The report: filters, sorts, pages, files; with and without JavaScript; what a viewer may.
import { Client, Posthorn } from '../support/posthorn';
import { expect, hydrated, signIn, test } from '../support/test';

test.describe.configure({ mode: 'serial' });

let posthorn: Posthorn;
let client: Client;
const ACCOUNTS = '/settings/email/imap-pop3';

test.beforeAll(async () => {
  posthorn = await Posthorn.start();
  await posthorn.addUser('ana', 'administrator');
  await posthorn.addUser('vera', 'viewer');
  client = await posthorn.client('ana');
  const credential = await client.add('/credentials', { name: 'One', username: 'one', secret: 'pass' });
  for (let n = 1; n <= 95; n += 1) {
    await client.add('/accounts', {
      name: n === 7 ? '=São 100%' : `Account ${String(n).padStart(3, '0')}`, address: 'mail.example.org', credential_id: credential,
      protocol: n % 2 ? 'imap' : 'pop3', secure_connection: n % 5 !== 0, automatic_check: false, enabled: n % 3 !== 0,
      keep_copy: n % 4 !== 0,
    });
  }
});
test.afterAll(() => posthorn?.stop());

test('ninety-five accounts fill four pages of thirty', async ({ page }) => {
  await signIn(page, posthorn.url, 'ana');
  await hydrated(page);
  await expect(page.getByText('1-30 of 95')).toBeVisible();
  await page.getByRole('link', { name: 'Next page' }).click();
  await expect(page.getByText('31-60 of 95')).toBeVisible();
  await page.getByRole('link', { name: 'Last page' }).click();
  await expect(page.getByText('91-95 of 95')).toBeVisible();
  await page.goBack();
  await expect(page.getByText('31-60 of 95')).toBeVisible();
});

test('filters act as one types and chooses, and live in the URL', async ({ page }) => {
  await signIn(page, posthorn.url, 'ana');
  await hydrated(page);
  await page.getByLabel('Name', { exact: true }).fill('sao 100%');
  await expect(page.getByText('1-1 of 1')).toBeVisible();
  await expect(page).toHaveURL(/name=sao/);
  await page.getByRole('link', { name: 'Clear filters' }).click();
  await expect(page.getByText('1-30 of 95')).toBeVisible();
  await page.getByRole('button', { name: 'More' }).click();
  await page.getByLabel('Status').selectOption('Disabled');
  await expect(page.getByText('1-30 of 31')).toBeVisible();
  await page.getByLabel('Secure connection', { exact: true }).selectOption('No');
  await expect(page.getByText('1-6 of 6')).toBeVisible();
  await page.getByLabel('Name', { exact: true }).fill('nothing like it');
  await expect(page.getByRole('heading', { name: 'No matches' })).toBeVisible();
});

test('a space at the end stays while one types on', async ({ page }) => {
  await signIn(page, posthorn.url, 'ana');
  await hydrated(page);
  const name = page.getByLabel('Name', { exact: true });
  await name.pressSequentially('account ');
  await expect(page).toHaveURL(/name=account$/);
  await expect(page.getByText('1-30 of 94')).toBeVisible();
  await name.pressSequentially('095');
  await expect(page.getByText('1-1 of 1')).toBeVisible();
  await expect(name).toHaveValue('account 095');
});

test('every column sorts both ways', async ({ page }) => {
  await signIn(page, posthorn.url, 'ana');
  await hydrated(page);
  for (const name of ['ID', 'Secure connection', 'Connection type', 'Protocol', 'Port', 'Automatic check', 'Keep a copy on the server', 'Status', 'Health', 'Name']) {
    const heading = page.getByRole('columnheader', { name, exact: true });
    await heading.getByRole('link').click();
    await expect(heading).toHaveAttribute('aria-sort', 'ascending');
    await heading.getByRole('link').click();
    await expect(heading).toHaveAttribute('aria-sort', 'descending');
    await expect(page.locator('th[aria-sort]')).toHaveCount(1);
  }
});

test('the Actions menu exports and prints all that match', async ({ page }) => {
  await signIn(page, posthorn.url, 'ana');
  await page.goto(`${posthorn.url}${ACCOUNTS}?name=account&sort=-name`);
  await hydrated(page);
  await page.getByRole('button', { name: 'Actions' }).click();
  const href = await page.getByRole('menuitem', { name: 'Export CSV' }).getAttribute('href');
  const csv = await (await page.request.get(posthorn.url + href)).text();
  const lines = csv.replace(/\r\n$/, '').split('\r\n');
  expect(lines[0]).toBe('\ufeffID,Name,Secure connection,Connection type,Protocol,Port,Automatic check,Keep a copy on the server,Status,Health');
  expect(lines).toHaveLength(95);
  expect(lines[1]).toContain('Account 095');
  const all = await (await page.request.get(`${posthorn.url}${ACCOUNTS}/export.csv`)).text();
  expect(all).toContain(",'=São 100%,");
  const [print] = await Promise.all([page.context().waitForEvent('page'), page.getByRole('menuitem', { name: 'Print Report' }).click()]);
  await expect(print.getByRole('row')).toHaveCount(95);
  await print.close();
});

test('of two who edit one account the second is shown both values', async ({ page }) => {
  await signIn(page, posthorn.url, 'ana');
  await page.goto(`${posthorn.url}${ACCOUNTS}/1`);
  await hydrated(page);
  const account = (await client.call('GET', '/accounts/1')).json;
  expect((await client.call('PUT', '/accounts/1', { ...account, name: 'Theirs' })).status).toBe(200);
  expect((await client.call('PUT', '/accounts/1', account)).status).toBe(409);
  await page.getByLabel('Account Name').fill('Mine');
  await page.getByRole('button', { name: 'Save account' }).click();
  await expect(page.getByRole('heading', { name: 'Somebody else changed this in the meantime' })).toBeVisible();
  await expect(page.getByRole('cell', { name: 'Theirs' })).toBeVisible();
  await expect(page.getByLabel('Account Name')).toHaveValue('Mine');
});

test('a changed destination needs its grant over REST too', async () => {
  const account = (await client.call('GET', '/accounts/2')).json;
  const refused = await client.call('PUT', '/accounts/2', { ...account, address: 'evil.example' });
  expect([refused.status, refused.json.errors[0].field]).toEqual([422, 'credential_id']);
  const granted = await client.call('PUT', '/accounts/2', { ...account, address: 'other.example', grant_credential: true });
  expect(granted.status).toBe(200);
});

test('a viewer sees the report and may change nothing', async ({ page }) => {
  await signIn(page, posthorn.url, 'vera');
  await expect(page.getByText('1-30 of 95')).toBeVisible();
  await expect(page.getByRole('link', { name: 'New', exact: true })).toHaveCount(0);
  await expect(page.getByRole('link', { name: 'View inbox' })).toHaveCount(0);
  const viewer = await posthorn.client('vera');
  expect((await viewer.call('POST', '/credentials', { name: 'x', username: 'x', secret: 'x' })).status).toBe(403);
  expect((await viewer.call('POST', '/accounts/1/check')).status).toBe(403);
  expect((await viewer.call('GET', '/accounts/1/messages')).status).toBe(403);
  expect((await viewer.call('DELETE', '/accounts/1')).status).toBe(403);
});

test.describe('without JavaScript', () => {
  test.use({ javaScriptEnabled: false });

  test('report, filters, pages and form work', async ({ page }) => {
    await signIn(page, posthorn.url, 'ana');
    await expect(page.getByText('1-30 of 95')).toBeVisible();
    await page.getByRole('link', { name: 'Next page' }).click();
    await expect(page.getByText('31-60 of 95')).toBeVisible();
    await page.getByLabel('Name', { exact: true }).fill('100%');
    await page.getByRole('button', { name: 'Search' }).click();
    await expect(page.getByText('1-1 of 1')).toBeVisible();
    await page.getByRole('button', { name: 'More' }).click();
    await expect(page.getByLabel('Status')).toBeVisible();
    await page.goto(`${posthorn.url}${ACCOUNTS}/new`);
    await page.getByLabel('Account Name').fill('Without script');
    await page.getByRole('button', { name: 'Save account' }).click();
    await expect(page.getByRole('heading', { name: 'There is a problem' })).toBeVisible();
    await expect(page.getByLabel('Account Name')).toHaveValue('Without script');
    // The address of a form that came back can be opened again.
    expect((await page.request.get(`${posthorn.url}${ACCOUNTS}/save/new`)).status()).toBe(200);
    await page.getByLabel('Address').fill('mail.example.org');
    await page.getByLabel('Protocol').selectOption('POP3');
    await page.getByLabel('Credential for authentication').selectOption({ index: 1 });
    await page.getByRole('button', { name: 'Save account' }).click();
    await expect(page.getByText('The account was saved.')).toBeVisible();
  });
});
