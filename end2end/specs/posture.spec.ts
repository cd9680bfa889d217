// What wants a look: a plain, a skipping and a pinned account, what was seen of a server, and the lists as CSV.
import { readFileSync } from 'node:fs';
import { Authority, pin } from '../support/authority';
import { Dovecot, type Identity } from '../support/dovecot';
import { type Client, Posthorn } from '../support/posthorn';
import { accessible, expect, hydrated, signIn, test } from '../support/test';

const PATH = '/settings/posture';
let dovecot: Dovecot;
let posthorn: Posthorn;
let client: Client;
let ours: Authority;
let identity: Identity;

test.beforeAll(async () => {
  ours = await Authority.make('Our Lab Root');
  identity = await ours.issue('localhost');
  dovecot = await Dovecot.start(identity);
  posthorn = await Posthorn.start();
  await posthorn.addUser('ana', 'administrator');
  client = await posthorn.client('ana');
  const credential = await client.add('/credentials', { name: 'mailbox', username: 'somebody', secret: 'pass' });
  const add = (name: string, more: object) => client.add('/accounts', {
    name, address: 'localhost', protocol: 'imap', port: dovecot.ports.imaps, credential_id: credential, automatic_check: false,
    secure_connection_type: 'ssl', ...more,
  });
  await add('=in the clear', { secure_connection: false, port: dovecot.ports.imap });
  const skipping = await add('skipping', { skip_certificate: true, skip_reason: 'the vendor is asked', skip_until: '2999-12-31' });
  await add('pinned', { trust: 'pin', pin: pin(identity) });
  await client.call('POST', `/accounts/${skipping}/check`);
});
test.afterAll(async () => {
  await posthorn?.stop();
  await dovecot?.stop();
  ours?.stop();
});

test('every list is shown, leads to its records and is taken out as CSV', async ({ page }) => {
  await signIn(page, posthorn.url, 'ana');
  await page.getByRole('link', { name: 'Security posture' }).click();
  await expect(page.getByRole('region', { name: 'Plain connections' })).toContainText('=in the clear');
  await expect(page.getByRole('region', { name: 'Skipped certificates' })).toContainText('the vendor is asked');
  await expect(page.getByRole('region', { name: 'Pinned keys' })).toContainText('SHA256:');
  await hydrated(page);
  await accessible(page);
  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'CSV: Plain connections' }).click();
  const text = readFileSync(await (await download).path(), 'utf8');
  expect(text).toContain(`Account,1,'=in the clear,localhost:${dovecot.ports.imap},`);
  await page.getByRole('region', { name: 'Plain connections' }).getByRole('link', { name: '=in the clear' }).click();
  await expect(page).toHaveURL(/\/settings\/email\/imap-pop3\/1$/);
});

test('the certificate that a check saw is known', async ({ page }) => {
  const { items } = (await client.call('GET', '/posture/certificates?within=3650')).json;
  expect(items.map((it: any) => [it.kind, it.name, it.detail])).toEqual([['account', 'skipping', 'CN=Our Lab Root']]);
  await signIn(page, posthorn.url, 'ana');
  await page.goto(`${posthorn.url}${PATH}?list=certificates&within=3650`);
  await expect(page.getByRole('region', { name: 'Server certificates that end soon' })).toContainText('CN=Our Lab Root');
  await accessible(page);
});
