// Every screen with the accounts of the demonstration: what axe finds, where focus goes, what is lost on the way.
import { readFileSync, rmSync, writeFileSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Posthorn } from '../support/posthorn';
import { accessible, expect, hydrated, signIn, test } from '../support/test';

const REPORT = '/settings/email/imap-pop3';
let posthorn: Posthorn;

test.beforeAll(async () => {
  posthorn = await Posthorn.start({}, ['--demo']);
  await posthorn.addUser('ana', 'administrator');
  const client = await posthorn.client('ana');
  // All that are checked at all have been checked.
  await expect.poll(async () => {
    const { items } = (await client.call('GET', '/accounts?automatic_check=true&status=enabled')).json;
    return items.filter((it: any) => it.last_success_at === null && it.error === null).length;
  }).toBe(0);
});
test.afterAll(() => posthorn?.stop());

test.beforeEach(async ({ page }) => signIn(page, posthorn.url, 'ana'));

for (const [name, path, what] of [
  ['report', REPORT, 'Invoices'],
  ['report in Portuguese', `${REPORT}?sort=-health`, 'Invoices'],
  ['account', `${REPORT}/6`, 'Save'],
  ['inbox', `${REPORT}/6/inbox`, 'Invoice'],
  ['opened message', `${REPORT}/6/inbox?message=1`, ''],
  ['source', `${REPORT}/6/inbox?message=1&view=source`, ''],
  ['find settings', `${REPORT}/discover`, 'E-mail address'],
  ['deleted accounts', `${REPORT}/deleted`, 'No deleted accounts'],
  ['credentials', '/settings/credentials', 'Invoices mailbox'],
  ['credential', '/settings/credentials/6', 'Invoices'],
  ['new OAuth 2.0 credential', '/settings/credentials/oauth/new', 'Client secret ends on'],
  ['connectors', '/settings/connectors', 'Plant network'],
  ['connector', '/settings/connectors/1', 'Alarms'],
  ['new connector', '/settings/connectors/new', 'Save'],
  ['audit', '/settings/audit', 'Signed in'],
  ['security posture', '/settings/posture', 'Weak TLS'],
  ['no such page', '/settings/nothing', 'Page not found'],
] as const) {
  test(`axe finds nothing: ${name}`, async ({ page }) => {
    if (name.includes('Portuguese')) {
      await page.context().addCookies([{ name: 'locale', value: 'pt-BR', url: posthorn.url }]);
    }
    // A message's number depends on the order in which the mailboxes were read.
    const client = await posthorn.client('ana');
    const message = (await client.call('GET', '/accounts/6/messages')).json.items[0].id;
    await page.goto(posthorn.url + path.replace('message=1', `message=${message}`));
    await hydrated(page);
    await expect(page.getByRole('main')).toContainText(what);
    await accessible(page);
  });
}

test('a page beyond the last leads to the first', async ({ page }) => {
  await page.goto(`${posthorn.url}${REPORT}?page=999&sort=-name`);
  await expect(page).toHaveURL(`${posthorn.url}${REPORT}?sort=-name`);
  await expect(page.getByRole('row')).toHaveCount(13);
});

test('the Actions menu goes by keys', async ({ page }) => {
  await hydrated(page);
  const button = page.getByRole('button', { name: 'Actions' });
  await button.focus();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('menuitem', { name: 'Print Report' })).toBeFocused();
  await page.keyboard.press('ArrowDown');
  await expect(page.getByRole('menuitem', { name: 'Export CSV' })).toBeFocused();
  await page.keyboard.press('ArrowDown');
  await expect(page.getByRole('menuitem', { name: 'Schedule Report' })).toBeFocused();
  await page.keyboard.press('ArrowDown');
  await expect(page.getByRole('menuitem', { name: 'Print Report' })).toBeFocused();
  await page.keyboard.press('Escape');
  await expect(button).toBeFocused();
  await expect(button).toHaveAttribute('aria-expanded', 'false');
});

test('what was typed is not lost by a click on a link', async ({ page }) => {
  await page.goto(`${posthorn.url}${REPORT}/6`);
  await hydrated(page);
  await page.getByLabel('Account Name').fill('Bills');
  page.once('dialog', (dialog) => dialog.dismiss());
  await page.getByRole('link', { name: 'Audit log' }).click();
  await expect(page.getByLabel('Account Name')).toHaveValue('Bills');
  await expect(page).toHaveURL(`${posthorn.url}${REPORT}/6`);
  page.once('dialog', (dialog) => dialog.accept());
  await page.getByRole('link', { name: 'Audit log' }).click();
  await expect(page).toHaveURL(`${posthorn.url}/settings/audit`);
});

test('a check goes its way before the eyes of whoever asked for it', async ({ page }) => {
  await page.goto(`${posthorn.url}${REPORT}/5/inbox`);
  await hydrated(page);
  await page.getByRole('button', { name: 'Check now' }).click();
  await expect(page.getByRole('main')).toContainText('Fax');
  await expect(page.getByRole('listitem').filter({ hasText: /Fax/ }).first()).toBeVisible();
});

test('a refused deletion is a page with a way back', async ({ page }) => {
  // The version is an old one.
  const answer = await page.request.post(`${posthorn.url}${REPORT}/delete/6`, { form: { version: '77' } });
  expect(answer.status()).toBe(409);
  const text = await answer.text();
  expect(text).toContain('Somebody else changed this');
  expect(text).toContain(`href="${REPORT}"`);
});

test('the demonstration never mixes with what is there', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'posthorn-'));
  const used = await Posthorn.start({ POSTHORN_DATA: folder });
  await used.addUser('ana', 'administrator');
  await used.stop();
  await expect(Posthorn.start({ POSTHORN_DATA: folder }, ['--demo'])).rejects.toThrow(/needs an empty database/);
  rmSync(folder, { recursive: true, force: true });
});

test('what one installation exports another imports, without its secrets', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'posthorn-'));
  const file = join(folder, 'export.json');
  const document = JSON.parse(await posthorn.command(['export']));
  expect(document.accounts.length).toBe(12);
  expect(JSON.stringify(document)).not.toContain('secret');
  const other = await Posthorn.start();
  writeFileSync(file, JSON.stringify(document));
  await expect(other.command(['import', file])).rejects.toThrow(/Invoices mailbox.*secret/);
  expect(JSON.parse(await other.command(['export'])).credentials).toEqual([]);
  for (const credential of document.credentials) credential.secret = 'pass';
  writeFileSync(file, JSON.stringify(document));
  expect(await other.command(['import', file])).toBe('25 added, 0 changed\n');
  expect(await other.command(['import', file])).toMatch(/^0 added, /);
  document.credentials.forEach((it: any) => delete it.secret);
  expect(JSON.parse(await other.command(['export']))).toEqual(document);
  // A changed destination gets the credential only where somebody says so.
  document.accounts[0].port = 995;
  writeFileSync(file, JSON.stringify(document));
  await expect(other.command(['import', file])).rejects.toThrow(/Access requests.*destination has changed.*--grant-credentials/);
  expect(JSON.parse(await other.command(['export'])).accounts[0].port).toBe(993);
  document.accounts[0].grant_credential = true;
  writeFileSync(file, JSON.stringify(document));
  expect(await other.command(['import', file])).toBe('0 added, 1 changed\n');
  delete document.accounts[0].grant_credential;
  document.accounts[0].port = 996;
  writeFileSync(file, JSON.stringify(document));
  expect(await other.command(['import', '--grant-credentials', file])).toBe('0 added, 1 changed\n');
  document.accounts[0].port = 70_000;
  document.accounts[1].credential = 'nobody';
  writeFileSync(file, JSON.stringify(document));
  await expect(other.command(['import', file])).rejects.toThrow(/Access requests.*port.*; .*Alarms.*credential/);
  await other.stop();
  expect(readFileSync(file, 'utf8')).toContain('nobody');
  rmSync(folder, { recursive: true, force: true });
});

test('axe finds nothing: print page, sign-in, a form that came back after the session ended', async ({ page }) => {
  await page.goto(`${posthorn.url}${REPORT}/print?status=enabled`);
  await expect(page.getByRole('row')).toHaveCount(12);
  await accessible(page);
  await page.goto(`${posthorn.url}/settings/credentials/new`);
  await page.getByLabel('Name', { exact: true }).fill('Late');
  await page.getByLabel('User name').fill('late');
  await page.getByLabel('Password').fill('kept by nobody');
  await page.context().clearCookies({ name: 'posthorn_session' });
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Your session has ended');
  await accessible(page);
  expect(await page.content()).not.toContain('kept by nobody');
  const [other] = await Promise.all([page.context().waitForEvent('page'), page.getByRole('link', { name: 'Sign in' }).click()]);
  await expect(other.getByLabel('User name')).toBeVisible();
  await accessible(other);
  await signIn(other, posthorn.url, 'ana');
  // The password has to be typed again: the form comes back with what was kept.
  await page.getByRole('button', { name: 'Send again' }).click();
  await expect(page.getByLabel('User name')).toHaveValue('late');
  await expect(page.getByLabel('Name', { exact: true })).toHaveValue('Late');
});

test('older messages go from the server only after a second look, and until then that can be taken back', async ({ page }) => {
  const client = await posthorn.client('ana');
  const account = (await client.call('GET', '/accounts/6')).json;
  expect((await client.call('PUT', '/accounts/6', { ...account, keep_copy: false, automatic_check: false })).status).toBe(200);
  await page.goto(`${posthorn.url}${REPORT}/6`);
  await hydrated(page);
  const [ask, dialog] = [page.getByRole('button', { name: 'Delete older messages on the server' }), page.getByRole('dialog')];
  await ask.click();
  await expect(dialog).toContainText('cannot be brought back to the server');
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await expect(dialog).toBeHidden();
  await ask.click();
  await dialog.getByRole('button', { name: 'Delete' }).click();
  await expect(page.getByRole('main')).toContainText('on the server was asked for');
  await expect(ask).toBeHidden();
  await page.getByRole('button', { name: 'Cancel this deletion' }).click();
  await expect(page.locator('.flash-region')).toContainText('The older messages stay on the server.');
  await expect(ask).toBeVisible();
});

test('a page of messages beyond the last leads to the first', async ({ page }) => {
  await page.goto(`${posthorn.url}${REPORT}/1/inbox?page=99`);
  await expect(page).toHaveURL(`${posthorn.url}${REPORT}/1/inbox`);
  await expect(page.getByRole('main')).not.toContainText('No messages yet');
});
