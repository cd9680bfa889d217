// Tests of connections: of what is typed, of what is saved, followed and stopped, compared with the last good one, by every way.
import { createServer, type Server } from 'node:net';
import type { Page } from '@playwright/test';
import { Authority, pin } from '../support/authority';
import { Dovecot, type Identity } from '../support/dovecot';
import { freePort } from '../support/process';
import { type Client, Posthorn } from '../support/posthorn';
import { Proxy } from '../support/proxy';
import { accessible, expect, hydrated, signIn, test } from '../support/test';

const REPORT = '/settings/email/imap-pop3';
let dovecot: Dovecot;
let posthorn: Posthorn;
let client: Client;
let [first, second]: Authority[] = [];
let identity: Identity;
let credential: number;
let proxy: Proxy;
let n = 0;

test.beforeAll(async () => {
  [first, second] = [await Authority.make('First Root'), await Authority.make('Second Root')];
  identity = await first.issue('localhost');
  dovecot = await Dovecot.start(identity);
  proxy = await Proxy.start('socks5', false);
  posthorn = await Posthorn.start();
  await posthorn.addUser('ana', 'administrator');
  await posthorn.addUser('vera', 'viewer');
  client = await posthorn.client('ana');
  credential = await client.add('/credentials', { name: 'mailbox', username: 'somebody', secret: 'pass' });
  dovecot.deliver('somebody', 'Subject: Hello\r\n\r\nHello\r\n');
});
test.afterAll(async () => {
  await posthorn?.stop();
  await dovecot?.stop();
  proxy?.stop();
  first?.stop();
  second?.stop();
});

/** Another administrator: each of them may begin ten tests a minute. */
async function somebody(): Promise<{ name: string; mine: Client }> {
  n += 1;
  const name = `tester-${n}`;
  await posthorn.addUser(name, 'administrator');
  return { name, mine: await posthorn.client(name) };
}

function account(more: object = {}): Promise<number> {
  n += 1;
  return client.add('/accounts', {
    name: `tested ${n}`, address: 'localhost', protocol: 'imap', port: dovecot.ports.imaps, credential_id: credential,
    automatic_check: false, skip_certificate: true, ...more,
  });
}

async function fill(page: Page, port: number): Promise<void> {
  await page.getByLabel('Account Name').fill('Typed <b>');
  await page.getByLabel('Address', { exact: true }).fill('localhost');
  await page.getByLabel('Port', { exact: true }).fill(`${port}`);
  await page.getByLabel('Protocol').selectOption('IMAP');
  await page.getByLabel('Credential for authentication').selectOption({ label: 'mailbox (somebody)' });
  await page.getByRole('group', { name: 'Skip certificate' }).getByLabel('Yes').check();
}

/** Tests what is typed, is told what is wrong, comes back to all of it, corrects it, tests again, saves. */
async function tryOut(page: Page): Promise<void> {
  const main = page.getByRole('main');
  await fill(page, await freePort());
  await page.getByRole('button', { name: 'Test connection' }).click();
  await expect(main).toContainText('Failed: Connect');
  await expect(main).toContainText('Nobody listens there. Check the port');
  await page.getByRole('button', { name: 'Back to the form' }).click();
  await expect(page.getByLabel('Account Name')).toHaveValue('Typed <b>');
  await expect(page.getByLabel('Protocol')).toHaveValue('imap');
  await expect(page.getByRole('group', { name: 'Skip certificate' }).getByLabel('Yes')).toBeChecked();
  await page.getByLabel('Port', { exact: true }).fill(`${dovecot.ports.imap}`);
  await page.getByRole('button', { name: 'Test connection' }).click();
  await expect(main).toContainText('Failed: TLS and certificate');
  await expect(main).toContainText('Choose TLS (STARTTLS) as the type, or the SSL port');
  await page.getByRole('button', { name: 'Back to the form' }).click();
  await page.getByLabel('Port', { exact: true }).fill(`${dovecot.ports.imaps}`);
  await page.getByRole('button', { name: 'Test connection' }).click();
  await expect(main).toContainText('The connection works.');
  await expect(main).toContainText('TLSv1.3');
  await expect(main).toContainText('1 message');
}

test('what is typed is tested, and nothing of it is lost', async ({ page }) => {
  await signIn(page, posthorn.url, (await somebody()).name);
  await page.goto(`${posthorn.url}${REPORT}/new`);
  await hydrated(page);
  await tryOut(page);
  await hydrated(page);
  await page.getByText('As text', { exact: true }).click();
  await expect(page.getByRole('textbox', { name: 'As text' })).toHaveValue(/The connection works\.[^]*TLS and certificate: Done[^]*CN=First Root/);
  await expect(page.getByRole('textbox', { name: 'As text' })).not.toHaveValue(/pass\b/);
  await accessible(page);
  await page.getByRole('button', { name: 'Back to the form' }).click();
  await page.getByRole('button', { name: 'Save account' }).click();
  await expect(page.getByRole('status').first()).toContainText('The account was saved.');
});

test.describe('without script', () => {
  test.use({ javaScriptEnabled: false });

  test('the same works', async ({ page }) => {
    await signIn(page, posthorn.url, (await somebody()).name);
    await page.goto(`${posthorn.url}${REPORT}/new`);
    await tryOut(page);
    const id = await account();
    await page.goto(`${posthorn.url}${REPORT}/${id}/test`);
    await page.getByRole('button', { name: 'Test now' }).click();
    await expect(page.getByRole('main')).toContainText('The connection works.');
  });
});

test('a changed destination gets the credential only if that is confirmed', async ({ page }) => {
  const { name } = await somebody();
  const id = await account();
  await signIn(page, posthorn.url, name);
  await page.goto(`${posthorn.url}${REPORT}/${id}`);
  await hydrated(page);
  await page.getByLabel('Port', { exact: true }).fill(`${dovecot.ports.pop3s}`);
  await page.getByLabel('Protocol').selectOption('POP3');
  await page.getByRole('button', { name: 'Test connection' }).click();
  await expect(page.getByRole('alert')).toContainText('Credential for authentication');
  await expect(page.getByLabel('Protocol')).toHaveValue('pop3');
  await page.locator('#grant_credential').check();
  await page.getByRole('button', { name: 'Test connection' }).click();
  await expect(page.getByRole('main')).toContainText('The connection works.');
  const stored = (await client.call('GET', `/accounts/${id}`)).json;
  expect(stored.protocol).toBe('imap');
  const { items } = (await client.call('GET', `/accounts/${id}/tests`)).json;
  expect(items.map((it: any) => [it.outcome, it.is_saved, it.compared_with])).toEqual([['passed', false, null]]);
  await page.goto(`${posthorn.url}/settings/audit?action=credential_granted`);
  await expect(page.getByRole('main')).toContainText('for a test of account');
});

test('a saved account is followed while it is tested, and can be stopped', async ({ page }) => {
  const { name, mine } = await somebody();
  const silent: Server = createServer(() => {});
  await new Promise<void>((done) => { silent.listen(0, '127.0.0.1', done); });
  const { port } = silent.address() as { port: number };
  const id = await account({ port, secure_connection: false, skip_certificate: false });
  await signIn(page, posthorn.url, name);
  await page.goto(`${posthorn.url}${REPORT}/${id}/inbox`);
  await page.getByRole('link', { name: 'Test connection' }).click();
  await expect(page.getByRole('main')).toContainText('This connection has not been tested yet.');
  await page.getByRole('button', { name: 'Test now' }).click();
  await expect(page.getByRole('main')).toContainText('The test is running: Greeting and capabilities');
  await expect(page.getByRole('main')).toContainText('Connect: Done');
  await page.getByRole('button', { name: 'Stop the test' }).click();
  await expect(page.getByRole('main')).toContainText('The test was stopped.');
  const { items } = (await client.call('GET', `/accounts/${id}/tests`)).json;
  expect(items.map((it: any) => it.outcome)).toEqual(['cancelled']);
  // A page that is open sees what another starts: nothing is pressed here.
  await hydrated(page);
  const again = mine.call('POST', `/accounts/${id}/test`);
  await expect(page.getByRole('main')).toContainText('The test is running', { timeout: 10_000 });
  await page.getByRole('button', { name: 'Stop the test' }).click();
  expect((await again).json.outcome).toBe('cancelled');
  silent.close();
});

test('a test is compared with the last good one of its way', async ({ page }) => {
  const { name, mine } = await somebody();
  const id = await account({ skip_certificate: false, trust: 'pin', pin: pin(identity) });
  const before = (await mine.call('POST', `/accounts/${id}/test`)).json;
  expect([before.outcome, before.evidence.is_trusted, before.differences]).toEqual(['passed', false, []]);
  expect(before.evidence.not_trusted).toContain('First Root');
  expect(before.evidence.chain[0]).toMatchObject({ issuer: 'CN=First Root', names: ['localhost'], pin: pin(identity) });
  expect(before.steps.map((it: any) => it.step)).toEqual(
    ['resolve', 'egress', 'connect', 'tls', 'greeting', 'authenticate', 'mailbox']);
  const same = (await mine.call('POST', `/accounts/${id}/test`)).json;
  expect([same.outcome, same.differences]).toEqual(['passed', []]);
  expect(same.compared_with).toBe(before.at);
  dovecot.show(await second.issue('localhost'));
  const served = async () => (await mine.call('POST', `/accounts/${id}/test`)).json;
  await expect.poll(async () => (await served()).failure?.kind, { timeout: 30_000, intervals: [1000, 2000, 4000] }).toBe('certificate');
  await signIn(page, posthorn.url, name);
  await page.goto(`${posthorn.url}${REPORT}/${id}/test`);
  const main = page.getByRole('main');
  await expect(main).toContainText('Failed: TLS and certificate');
  await expect(main).toContainText("The certificate's issuer changed: CN=Second Root instead of CN=First Root.");
  await expect(main).toContainText("The certificate's key changed");
  await expect(main).toContainText('Nothing was sent to the server.');
  await hydrated(page);
  await accessible(page);
  await page.getByRole('row', { name: /Passed/ }).last().getByRole('link', { name: /Show/ }).click();
  await expect(main).toContainText('The connection works.');
  dovecot.show(identity);
});

test('every way is tested side by side, and the credential stays at home unless it is granted', async ({ page }) => {
  const { name, mine } = await somebody();
  const working = await client.add('/connectors', { name: 'Gateway', kind: 'socks5', address: '127.0.0.1', port: proxy.port, credential_id: null });
  await client.add('/connectors', { name: 'Nowhere', kind: 'socks5', address: '127.0.0.1', port: await freePort(), credential_id: null });
  expect(working).toBeGreaterThan(0);
  const id = await account();
  await signIn(page, posthorn.url, name);
  await page.goto(`${posthorn.url}${REPORT}/${id}/test`);
  await hydrated(page);
  await page.getByRole('button', { name: 'Test every way side by side' }).click();
  const table = page.getByRole('region', { name: 'Every way side by side' });
  const row = (name: string) => table.getByRole('row', { name: new RegExp(`^${name}`) }).getByRole('cell');
  await expect(row('Outcome')).toHaveText(['Passed', 'Passed', /Failed: Connect.*network connector failed/]);
  await expect(table.getByRole('columnheader')).toHaveText(['Step', 'Directly', 'By Gateway', 'By Nowhere']);
  await expect(row('Sign in')).toHaveText([/ms/, 'Not reached', 'Not reached']);
  await accessible(page);
  await page.getByLabel('Send the credential by the other ways, too').check();
  await page.getByRole('button', { name: 'Test every way side by side' }).click();
  await expect(row('Sign in')).toHaveText([/ms/, /ms/, 'Not reached']);
  const answer = (await mine.call('POST', `/accounts/${id}/test/each`, {})).json.items;
  expect(answer.map((it: any) => [it.connector, it.outcome, it.signs_in])).toEqual(
    [[null, 'passed', true], ['Gateway', 'passed', false], ['Nowhere', 'failed', false]]);
});

test('who may not act sees nothing of servers, and nobody tests without an end', async ({ page }) => {
  const id = await account();
  const viewer = await posthorn.client('vera');
  expect((await viewer.call('POST', `/accounts/${id}/test`)).status).toBe(403);
  expect((await viewer.call('GET', `/accounts/${id}/tests`)).status).toBe(403);
  await signIn(page, posthorn.url, 'vera');
  await page.goto(`${posthorn.url}${REPORT}/${id}`);
  await expect(page.getByRole('button', { name: 'Test connection' })).toHaveCount(0);
  const { mine } = await somebody();
  const disabled = await account({ enabled: false });
  expect((await mine.call('POST', `/accounts/${disabled}/test`)).json.errors[0].field).toBe('enabled');
  const statuses = [];
  for (let nth = 0; nth < 11; nth += 1) statuses.push((await mine.call('POST', `/accounts/${id}/test`)).status);
  expect(statuses).toEqual([...Array(10).fill(200), 429]);
});
