// The main job, whole: an account entered in the browser, checked against a real server, its mail read.
import { Dovecot } from '../support/dovecot';
import { PASSWORD, Posthorn } from '../support/posthorn';
import { accessible, expect, hydrated, signIn, test } from '../support/test';

test.describe.configure({ mode: 'serial' });

let dovecot: Dovecot;
let posthorn: Posthorn;
const ACCOUNTS = '/settings/email/imap-pop3';

test.beforeAll(async () => {
  dovecot = await Dovecot.start();
  posthorn = await Posthorn.start();
});
test.afterAll(async () => {
  await posthorn?.stop();
  await dovecot?.stop();
});

test('the first visit makes the first administrator, with the code that the server printed', async ({ page }) => {
  await page.goto(`${posthorn.url}/`);
  await expect(page).toHaveURL(/\/set-up$/);
  await hydrated(page);
  await accessible(page);
  await page.getByLabel('Set-up code').fill('WRONG');
  await page.getByLabel('User name').fill('ana');
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Create administrator' }).click();
  await expect(page.getByText('Set-up code is not right').first()).toBeVisible();
  await page.getByLabel('Set-up code').fill(posthorn.setUpCode);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Create administrator' }).click();
  await expect(page.getByRole('heading', { name: 'No accounts' })).toBeVisible();
  await hydrated(page);
  await accessible(page);
});

test('a wrong password is refused and the right one leads to the page that was wanted', async ({ page }) => {
  await page.goto(`${posthorn.url}/settings/credentials`);
  await expect(page).toHaveURL(/\/sign-in\?return=/);
  await page.getByLabel('User name').fill('ana');
  await page.getByLabel('Password').fill('wrong password');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('alert')).toContainText('User name or password is wrong');
});

test('a credential is registered and its password shown nowhere', async ({ page }) => {
  await signIn(page, posthorn.url, 'ana');
  await page.goto(`${posthorn.url}/settings/credentials/new`);
  await hydrated(page);
  await page.getByLabel('Name', { exact: true }).fill('Invoices');
  await page.getByLabel('User name').fill('invoices');
  await page.getByLabel('Password').fill('pass');
  await page.getByRole('button', { name: 'Save credential' }).click();
  await expect(page.getByText('The credential was saved.')).toBeVisible();
  await hydrated(page);
  await accessible(page);
  await page.getByRole('link', { name: 'Edit credential' }).click();
  await expect(page.getByLabel('User name')).toHaveValue('invoices');
});

test('the menu Products leads to the report, and New to the form', async ({ page }) => {
  await signIn(page, posthorn.url, 'ana');
  await hydrated(page);
  await page.getByRole('button', { name: 'Products' }).click();
  await page.getByRole('link', { name: 'Settings', exact: true }).click();
  await page.getByRole('link', { name: 'IMAP Configuration / POP3' }).click();
  await page.getByRole('link', { name: 'New', exact: true }).first().click();
  await expect(page.getByLabel('Account Name')).toBeVisible();
});

test('the form checks its rules, enables what depends, and saves', async ({ page }) => {
  await signIn(page, posthorn.url, 'ana');
  await page.goto(`${posthorn.url}${ACCOUNTS}/new`);
  await hydrated(page);
  await accessible(page);
  await page.getByRole('button', { name: 'Save account' }).click();
  await expect(page.getByRole('heading', { name: 'There is a problem' })).toBeVisible();
  await expect(page.getByRole('link', { name: 'Enter or choose: Account Name' })).toBeVisible();

  const connector = page.getByLabel('Network Connector', { exact: true });
  await expect(connector).toBeDisabled();
  const uses = page.getByRole('group', { name: 'Use Network Connector' });
  await uses.getByLabel('Yes').check();
  await expect(connector).toBeEnabled();
  await uses.getByLabel('No').check();
  await expect(connector).toBeDisabled();

  await page.getByLabel('Account Name').fill('Invoices <b>');
  await page.getByLabel('Address').fill('localhost');
  await page.getByLabel('Protocol').selectOption('IMAP');
  await expect(page.getByLabel('Port')).toHaveAttribute('placeholder', '993');
  await page.getByLabel('Port').fill(String(dovecot.ports.imaps));
  await page.getByLabel('Credential for authentication').selectOption({ index: 1 });
  await page.getByRole('group', { name: 'Automatic check' }).getByLabel('No').check();
  await page.getByRole('button', { name: 'Save account' }).click();
  await expect(page.getByText('The account was saved.')).toBeVisible();
  await expect(page.getByRole('rowheader', { name: 'Invoices <b>' })).toBeVisible();
  await hydrated(page);
  await accessible(page);
});

test('a certificate that nobody vouches for is refused until it is skipped; then the mail arrives', async ({ page }) => {
  dovecot.deliver('invoices', 'From: Jo <jo@example.org>\nSubject: Hello <script>alert(1)</script>\nDate: Sat, 31 Jan 2026 14:30:05 +0000\n\nGood day\n');
  await signIn(page, posthorn.url, 'ana');
  await page.getByRole('link', { name: 'View inbox' }).click();
  await expect(page.getByRole('button', { name: 'Check now' })).toBeVisible();
  await hydrated(page);
  await page.getByRole('button', { name: 'Check now' }).click();
  await expect(page.getByText('Certificate not accepted').first()).toBeVisible();

  await page.goto(`${posthorn.url}${ACCOUNTS}/1`);
  await hydrated(page);
  await page.getByRole('group', { name: 'Skip certificate' }).getByLabel('Yes').check();
  await page.getByRole('button', { name: 'Save account' }).click();
  await expect(page.getByText('the destination has changed').first()).toBeVisible();
  await page.getByLabel('Send this credential to the changed destination').check();
  await page.getByRole('button', { name: 'Save account' }).click();
  await expect(page.getByText('The account was saved.')).toBeVisible();

  await page.getByRole('link', { name: 'View inbox' }).click();
  await hydrated(page);
  await page.getByRole('button', { name: 'Check now' }).click();
  await page.getByRole('link', { name: /Hello <script>/ }).click();
  await expect(page.getByText('Good day')).toBeVisible();
  // Keep copy is Yes: the message is still there, and looking did not mark it.
  expect(dovecot.messages('invoices').filter((it) => !/:2,.*S/.test(it))).toHaveLength(1);
});

test('hostile HTML runs nothing and asks for nothing', async ({ page }) => {
  const asked: string[] = [];
  page.on('request', (request) => { if (!request.url().startsWith(posthorn.url) && !request.url().startsWith('data:')) asked.push(request.url()); });
  page.on('dialog', (dialog) => asked.push(`dialog ${dialog.message()}`));
  dovecot.deliver('invoices', 'From: Eve <eve@example.org>\nSubject: Look\nMIME-Version: 1.0\nContent-Type: text/html\n\n' +
    '<script>alert(1)</script><img src="http://127.0.0.1:9/x.png"><p onclick="alert(2)">Visible text</p><svg onload=alert(3)></svg>\n');
  const client = await posthorn.client('ana');
  expect((await client.call('POST', '/accounts/1/check')).json.outcome).toBe('ok');
  await signIn(page, posthorn.url, 'ana');
  await page.goto(`${posthorn.url}${ACCOUNTS}/1/inbox`);
  await page.getByRole('link', { name: /Look/ }).click();
  await page.getByRole('link', { name: 'HTML' }).click();
  await expect(page.frameLocator('iframe').getByText('Visible text')).toBeVisible();
  expect(asked).toEqual([]);
});

test('without a copy kept, a message leaves the server once it is stored; nothing is stored twice', async () => {
  const client = await posthorn.client('ana');
  const credential = await client.add('/credentials', { name: 'Orders', username: 'orders', secret: 'pass' });
  for (const [name, protocol, type, port] of [
    ['imap ssl', 'imap', 'ssl', dovecot.ports.imaps], ['imap tls', 'imap', 'tls', dovecot.ports.imap],
    ['pop3 ssl', 'pop3', 'ssl', dovecot.ports.pop3s], ['pop3 tls', 'pop3', 'tls', dovecot.ports.pop3],
    ['imap plain', 'imap', null, dovecot.ports.imap], ['pop3 plain', 'pop3', null, dovecot.ports.pop3],
  ] as const) {
    const message = `From: a@example.org\nSubject: Order by ${name}\n\n.dot at the start\n`;
    dovecot.deliver('orders', message);
    const id = await client.add('/accounts', {
      name, protocol, port, address: 'localhost', credential_id: credential, keep_copy: false, automatic_check: false,
      secure_connection: type !== null, secure_connection_type: type, skip_certificate: type !== null,
    });
    const first = (await client.call('POST', `/accounts/${id}/check`)).json;
    expect([name, first.outcome, first.new_messages, first.deleted_messages, first.error]).toEqual([name, 'ok', 1, 1, null]);
    const second = (await client.call('POST', `/accounts/${id}/check`)).json;
    expect([second.outcome, second.new_messages]).toEqual(['ok', 0]);
    expect(dovecot.messages('orders')).toEqual([]);
    const list = (await client.call('GET', `/accounts/${id}/messages`)).json;
    expect(list.total).toBe(1);
    const raw = await client.call('GET', `/messages/${list.items[0].id}/raw`);
    expect(raw.text).toBe(message.replace(/\n/g, '\r\n'));
  }
});

test('a rejected password is named and stops the account', async () => {
  const client = await posthorn.client('ana');
  const credential = await client.add('/credentials', { name: 'Wrong', username: 'nobody', secret: 'not it' });
  const id = await client.add('/accounts', {
    name: 'Rejected', protocol: 'imap', port: dovecot.ports.imaps, address: 'localhost', credential_id: credential, skip_certificate: true,
    automatic_check: false,
  });
  const run = (await client.call('POST', `/accounts/${id}/check`)).json;
  expect([run.outcome, run.error.kind]).toEqual(['failed', 'authentication']);
});
