// A credential whose tokens come from a real OpenID provider: consent in the browser, a check with the token, revoked, consented again.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Authority } from '../support/authority';
import { Dovecot } from '../support/dovecot';
import { CLIENT, Issuer } from '../support/issuer';
import { type Client, Posthorn } from '../support/posthorn';
import { freePort } from '../support/process';
import { accessible, expect, hydrated, signIn, test } from '../support/test';

const USER = 'somebody';
const MAIL = 'From: ana@example.org\nTo: somebody@localhost\nSubject: By token\nMessage-ID: <1@example.org>\n\nHello\n';
const OAUTH = '/settings/credentials/oauth';
let authority: Authority;
let issuer: Issuer;
let dovecot: Dovecot;
let posthorn: Posthorn;
let client: Client;

// The provider's certificate is of an authority that only the server was told of.
test.use({ ignoreHTTPSErrors: true });

test.beforeAll(async () => {
  authority = await Authority.make('OAuth Lab Root');
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  issuer = await Issuer.start(await authority.issue('localhost'), `${url}${OAUTH}/callback`, USER);
  dovecot = await Dovecot.start(undefined, { introspection: issuer.introspection });
  dovecot.deliver(USER, MAIL);
  const roots = join(authority.folder, 'roots.pem');
  writeFileSync(roots, authority.certificate);
  posthorn = await Posthorn.start({ POSTHORN_PUBLIC_URL: url, SSL_CERT_FILE: roots }, ['--listen', `127.0.0.1:${port}`]);
  await posthorn.addUser('ana', 'administrator');
  client = await posthorn.client('ana');
});
test.afterAll(async () => {
  await posthorn?.stop();
  await dovecot?.stop();
  issuer?.stop();
  authority?.stop();
});

const check = async (id: number) => (await client.call('POST', `/accounts/${id}/check`)).json;

test('a mailbox is read by the consent of its owner, stops when that is taken back, and goes on after another', async ({ page }) => {
  await signIn(page, posthorn.url, 'ana');
  await page.goto(`${posthorn.url}/settings/credentials`);
  await hydrated(page);
  await page.getByRole('link', { name: 'New with OAuth 2.0' }).click();
  await expect(page.getByLabel('Provider')).toBeVisible();
  await page.getByLabel('Name', { exact: true }).fill('by consent');
  await page.getByLabel('User name').fill(USER);
  await page.getByLabel('Provider').selectOption('Another provider');
  await page.getByLabel('Client ID').fill(CLIENT.id);
  await page.getByLabel('Client secret', { exact: true }).fill(CLIENT.secret);
  await page.getByLabel('Scopes').fill('openid');
  // A rule is broken first: what was typed stays, but for the secret.
  await page.getByLabel('Authorization URL', { exact: true }).fill('http://id.example.org/auth');
  await page.getByRole('button', { name: 'Save credential' }).click();
  await expect(page.getByRole('alert').first()).toContainText('Authorization URL');
  await expect(page.getByLabel('Client ID')).toHaveValue(CLIENT.id);
  await expect(page.getByLabel('Client secret', { exact: true })).toHaveValue('');
  await page.getByLabel('Client secret', { exact: true }).fill(CLIENT.secret);
  await page.getByLabel('Authorization URL', { exact: true }).fill(`${issuer.url}/auth`);
  await page.getByLabel('Token URL').fill(`${issuer.url}/token`);
  await accessible(page);
  await page.getByRole('button', { name: 'Save credential' }).click();
  await expect(page.getByText('No token yet').first()).toBeVisible();
  await accessible(page);

  const { json: stored } = await client.call('GET', '/credentials');
  const credential = stored.items[0];
  expect([credential.kind, credential.last_accepted_at]).toEqual(['oauth', null]);
  const account = await client.add('/accounts', {
    name: 'by token', address: 'localhost', protocol: 'imap', port: dovecot.ports.imaps, credential_id: credential.id,
    automatic_check: false, secure_connection_type: 'ssl', skip_certificate: true,
  });
  // Nobody has consented yet: that is said, and nothing is sent.
  expect((await check(account)).error).toMatchObject({ kind: 'authentication', message: expect.stringContaining('nobody has consented yet') });

  const consent = async () => {
    await page.goto(`${posthorn.url}${OAUTH}/${credential.id}`);
    await hydrated(page);
    await page.getByRole('button', { name: 'Sign in to the provider' }).click();
    await page.getByRole('link', { name: /^Continue at localhost:/ }).click();
    await page.getByRole('button', { name: 'Consent' }).click();
    await expect(page).toHaveURL(new RegExp(`${OAUTH}/${credential.id}\\?flash=`));
    await expect(page.getByText('Connected', { exact: true })).toBeVisible();
  };
  await consent();
  await accessible(page);
  expect(await check(account)).toMatchObject({ outcome: 'ok', new_messages: 1 });
  expect((await client.call('GET', `/credentials/${credential.id}`)).json.last_accepted_at).toBeTruthy();

  await issuer.revoke();
  const refused = await check(account);
  expect(refused.error.kind).toBe('authentication');
  expect(refused.error.message).toContain('(invalid_grant)');
  expect(refused.error.message).toContain('has to sign in to the provider');
  await page.goto(`${posthorn.url}${OAUTH}/${credential.id}`);
  await expect(page.getByText('Needs somebody to act: invalid_grant')).toBeVisible();
  await page.goto(`${posthorn.url}/settings/email/imap-pop3?health=stopped`);
  await expect(page.getByRole('row', { name: /by token/ })).toBeVisible();

  await consent();
  dovecot.deliver(USER, MAIL.replace('<1@', '<2@').replace('By token', 'Again'));
  expect(await check(account)).toMatchObject({ outcome: 'ok', new_messages: 1 });
});

test('a consent that nobody was sent to give counts for nothing', async ({ page }) => {
  await signIn(page, posthorn.url, 'ana');
  const answer = await page.request.get(`${posthorn.url}${OAUTH}/callback?state=made-up&code=stolen`);
  expect(answer.status()).toBe(404);
});
