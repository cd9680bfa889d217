// From a mail address to an account whose mail is collected: by a real DNS server, a web server and a mail server. What is found is
// only proposed; what nobody may contact is not offered.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Authority } from '../support/authority';
import { Autoconfig, file, incoming } from '../support/autoconfig';
import { Dns } from '../support/dns';
import { Dovecot } from '../support/dovecot';
import { type Client, PASSWORD, Posthorn } from '../support/posthorn';
import { accessible, expect, hydrated, signIn, test } from '../support/test';

const REPORT = '/settings/email/imap-pop3';
const MAIL = 'From: bo@example.test\nTo: ana@example.test\nSubject: Found by itself\nMessage-ID: <1@example.test>\n\nHello\n';
const FILE = '/mail/config-v1.1.xml';
let authority: Authority;
let autoconfig: Autoconfig;
let dns: Dns;
let dovecot: Dovecot;
let posthorn: Posthorn;
let client: Client;

test.beforeAll(async () => {
  authority = await Authority.make('Discovery Lab Root');
  const roots = join(authority.folder, 'roots.pem');
  writeFileSync(roots, authority.certificate);
  dovecot = await Dovecot.start(await authority.issue('imap.example.test'));
  dovecot.deliver('ana', MAIL);
  const { imap, imaps, pop3 } = dovecot.ports;
  autoconfig = await Autoconfig.start(await authority.issue('*.example.test'), {
    [`autoconfig.example.test${FILE}`]: file(
      incoming('pop3', 'pop.hosting.test', pop3, 'plain'),
      incoming('imap', 'imap.%EMAILDOMAIN%', imaps, 'SSL', '<authentication>OAuth2</authentication>'),
      incoming('imap', 'inside.example.test', 993, 'SSL'),
    ),
  });
  dns = await Dns.start([
    `srv-host=_imaps._tcp.example.test,imap.example.test,${imaps},0,0`,
    `srv-host=_imap._tcp.example.test,mx.hosting.test,${imap},0,0`,
    'srv-host=_pop3s._tcp.example.test',
    'address=/imap.example.test/127.0.0.1',
    'address=/mx.hosting.test/127.0.0.1',
    `address=/autoconfig.example.test/${autoconfig.address}`,
    'address=/inside.example.test/169.254.169.254',
    'address=/autoconfig.inside.test/169.254.169.254',
    `srv-host=_imaps._tcp.xn--bcher-kva.test,mail.xn--bcher-kva.test,${imaps},0,0`,
    'address=/mail.xn--bcher-kva.test/127.0.0.1',
  ]);
  posthorn = await Posthorn.start({ SSL_CERT_FILE: roots, POSTHORN_DNS_SERVERS: dns.address });
  await posthorn.addUser('ana', 'administrator');
  await posthorn.addUser('vera', 'viewer');
  client = await posthorn.client('ana');
});
test.afterAll(async () => {
  await posthorn?.stop();
  await dns?.stop();
  await dovecot?.stop();
  autoconfig?.stop();
  authority?.stop();
});

test('from an address to an account whose mail is collected', async ({ page }) => {
  await client.add('/credentials', { name: 'the mailbox of Ana', username: 'ana', secret: 'pass' });
  await signIn(page, posthorn.url, 'ana');
  await page.getByRole('link', { name: 'Find settings' }).click();
  await expect(page.getByLabel('E-mail address')).toBeVisible();
  await hydrated(page);
  await accessible(page);
  await page.getByLabel('E-mail address').fill('ana@');
  await page.getByRole('button', { name: 'Find settings' }).click();
  await expect(page.getByRole('alert')).toContainText('E-mail address');
  await expect(page.getByLabel('E-mail address')).toHaveValue('ana@');
  await page.getByLabel('E-mail address').fill('ana@example.test');
  await page.getByRole('button', { name: 'Find settings' }).click();

  await expect(page.getByRole('heading', { name: 'Settings for ana@example.test' })).toBeVisible();
  const { imap, imaps, pop3 } = dovecot.ports;
  await expect(page.getByRole('heading', { level: 3 })).toHaveText([
    `IMAP: imap.example.test, port ${imaps}`,
    `IMAP: mx.hosting.test, port ${imap}`,
    `POP3: pop.hosting.test, port ${pop3}`,
    'IMAP: inside.example.test, port 993',
  ]);
  const card = (host: string) => page.getByRole('region', { name: host });
  await expect(card('imap.example.test')).toContainText('The domain names it in its DNS (SRV record). The domain names it in a file on its own host');
  await expect(card('imap.example.test')).toContainText('User nameana');
  await expect(card('imap.example.test')).toContainText('OAuth 2.0');
  await expect(card('mx.hosting.test')).toContainText('Outside the domain.');
  await expect(card('pop.hosting.test')).toContainText('Not encrypted.');
  await expect(card('pop.hosting.test')).toContainText('Not found.');
  await expect(card('inside.example.test')).toContainText('Not allowed.');
  await expect(card('inside.example.test').getByRole('button')).toHaveCount(0);
  expect(autoconfig.asked).toEqual([`autoconfig.example.test${FILE}?emailaddress=ana%40example.test`]);
  await hydrated(page);
  await accessible(page);

  await card('imap.example.test').getByRole('button', { name: 'Use these settings' }).click();
  await hydrated(page);
  await expect(page.getByLabel('Account Name')).toHaveValue('ana@example.test');
  await expect(page.getByLabel('Address', { exact: true })).toHaveValue('imap.example.test');
  await expect(page.getByLabel('Port', { exact: true })).toHaveValue(String(imaps));
  await expect(page.getByLabel('Protocol')).toHaveValue('imap');
  // Nothing was saved yet, and no credential was chosen.
  expect((await client.call('GET', '/accounts')).json.total).toBe(0);
  await expect(page.getByLabel('Credential for authentication', { exact: true })).toHaveValue('');
  await page.getByLabel('Credential for authentication', { exact: true }).selectOption({ label: 'the mailbox of Ana (ana)' });
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page).toHaveURL(/flash=account-saved/);
  const { id } = (await client.call('GET', '/accounts')).json.items[0];
  expect((await client.call('GET', `/accounts/${id}`)).json).toMatchObject({ address: 'imap.example.test', port: imaps, protocol: 'imap', secure_connection_type: 'ssl' });
  expect((await client.call('POST', `/accounts/${id}/check`)).json).toMatchObject({ outcome: 'ok', new_messages: 1 });
  await page.goto(`${posthorn.url}/settings/audit`);
  await expect(page.getByRole('main')).toContainText('settings for ana@example.test');
});

test('where nothing is found, it is told what was looked for', async ({ page }) => {
  await signIn(page, posthorn.url, 'ana');
  await page.goto(`${posthorn.url}${REPORT}/discover?address=ana@inside.test`);
  await expect(page.getByLabel('E-mail address')).toHaveValue('ana@inside.test');
  await page.getByRole('button', { name: 'Find settings' }).click();
  await expect(page.getByRole('heading', { name: 'No settings found' })).toBeVisible();
  const row = (target: string) => page.getByRole('row').filter({ hasText: target });
  await expect(row('_submissions._tcp.inside.test')).toContainText('Nothing there');
  await expect(row('https://autoconfig.inside.test/')).toContainText('169.254.169.254');
  await expect(row('https://inside.test/.well-known/autoconfig/')).toContainText('was not found');
  await expect(row('pop3.inside.test')).toContainText('Usual host name');
  await hydrated(page);
  await accessible(page);
});

test('a name in another script is shown as it is read and as it is written', async ({ page }) => {
  await signIn(page, posthorn.url, 'ana');
  await page.goto(`${posthorn.url}${REPORT}/discover?address=ana@bücher.test`);
  await page.getByRole('button', { name: 'Find settings' }).click();
  await expect(page.getByRole('region', { name: /^IMAP: mail\.xn--bcher-kva\.test/ })).toContainText('mail.bücher.test (mail.xn--bcher-kva.test)');
});

test.describe('without JavaScript', () => {
  test.use({ javaScriptEnabled: false });

  test('the settings of an address are found and taken into the form', async ({ page }) => {
    await signIn(page, posthorn.url, 'ana');
    await page.getByRole('link', { name: 'Find settings' }).click();
    await page.getByLabel('E-mail address').fill('ana@example.test');
    await page.getByRole('button', { name: 'Find settings' }).click();
    await page.getByRole('region', { name: 'mx.hosting.test' }).getByRole('button', { name: 'Use these settings' }).click();
    await expect(page.getByLabel('Address', { exact: true })).toHaveValue('mx.hosting.test');
    await expect(page.getByLabel('TLS', { exact: true })).toBeChecked();
  });
});

test('programs find the same, viewers nothing, and nobody too often', async ({ page }) => {
  const { status, json } = await client.call('POST', '/autodiscovery', { address: 'ana@example.test' });
  expect(status).toBe(200);
  expect(json.proposals[0]).toEqual({
    protocol: 'imap', address: 'imap.example.test', port: dovecot.ports.imaps, secure_connection: true, secure_connection_type: 'ssl',
    username: 'ana', sources: ['srv', 'autoconfig'], outside_domain: false, oauth: true, standing: 'open',
  });
  expect(json.proposals.at(-1)).toMatchObject({ address: 'inside.example.test', standing: 'forbidden' });
  expect(json.look_ups.find((it: any) => it.target === '_pop3s._tcp.example.test').outcome).toBe('not_offered');
  expect((await client.call('POST', '/autodiscovery', { address: 'nobody' })).status).toBe(422);
  expect((await (await posthorn.client('vera')).call('POST', '/autodiscovery', { address: 'ana@example.test' })).status).toBe(403);
  await expect.poll(async () => (await client.call('POST', '/autodiscovery', { address: 'ana@nothing.test' })).status).toBe(429);
  await page.goto(`${posthorn.url}/sign-in`);
  await page.getByLabel('User name').fill('vera');
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('link', { name: 'Find settings' })).toHaveCount(0);
});
