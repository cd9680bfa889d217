// Consent on another device by a real OpenID provider: granted, declined, cancelled, without JavaScript; tokens for mail that goes out.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { Authority } from '../support/authority';
import { Dovecot } from '../support/dovecot';
import { CLIENT, Issuer } from '../support/issuer';
import { type Client, Posthorn } from '../support/posthorn';
import { SmtpServer } from '../support/smtp';
import { accessible, expect, hydrated, signIn, test } from '../support/test';

const USER = 'somebody';
const MAIL = 'From: ana@example.org\nTo: somebody@localhost\nSubject: By code\nMessage-ID: <1@example.org>\n\nHello\n';
const OAUTH = '/settings/credentials/oauth';
let authority: Authority;
let issuer: Issuer;
let smtp: SmtpServer;
let dovecot: Dovecot;
let posthorn: Posthorn;
let client: Client;

// The provider's certificate is of an authority that only the server was told of.
test.use({ ignoreHTTPSErrors: true });

test.beforeAll(async () => {
  authority = await Authority.make('Device Lab Root');
  issuer = await Issuer.start(await authority.issue('localhost'), 'https://localhost/unused', USER);
  smtp = await SmtpServer.start('plain', { anybody: true });
  dovecot = await Dovecot.start(undefined, { introspection: issuer.introspection, relay: smtp.port });
  dovecot.deliver(USER, MAIL);
  const roots = join(authority.folder, 'roots.pem');
  writeFileSync(roots, authority.certificate);
  posthorn = await Posthorn.start({ SSL_CERT_FILE: roots });
  await posthorn.addUser('ana', 'administrator');
  await posthorn.addUser('vera', 'viewer');
  client = await posthorn.client('ana');
});
test.afterAll(async () => {
  await posthorn?.stop();
  await dovecot?.stop();
  await smtp?.stop();
  issuer?.stop();
  authority?.stop();
});

const settings = (name: string) => ({
  name, username: USER, provider: 'other', grant: 'device_code', client_id: CLIENT.id, secret: CLIENT.secret, scopes: 'openid',
  device_url: `${issuer.url}/device/auth`, token_url: `${issuer.url}/token`,
});

/** Enters the code at the provider, in another window. */
async function enter(page: Page, address: string, button: 'Confirm' | 'Decline', code = ''): Promise<void> {
  const other = await page.context().newPage();
  await other.goto(address);
  if (code) {
    await other.getByRole('textbox').fill(code);
    await other.getByRole('button', { name: 'Continue' }).click();
  }
  await other.getByRole('button', { name: button }).click();
  if (button === 'Confirm') {
    await other.getByRole('button', { name: 'Consent' }).click();
    await expect(other.getByText('The device may go on.')).toBeVisible();
  }
  await other.close();
}

test('a mailbox and mail that goes out go on by a code that its owner entered elsewhere', async ({ page }) => {
  const added = await client.call('POST', '/credentials/oauth', settings('by code'));
  expect([added.status, added.json.state, added.json.grant]).toEqual([201, 'never', 'device_code']);
  expect(added.text).not.toContain(CLIENT.secret);
  const id = added.json.id;
  await signIn(page, posthorn.url, 'ana');
  await page.goto(`${posthorn.url}${OAUTH}/${id}`);
  await hydrated(page);
  await accessible(page);
  await page.getByRole('button', { name: 'Get a code' }).click();
  await expect(page).toHaveURL(`${posthorn.url}${OAUTH}/${id}/device?follow=1`);
  await hydrated(page);
  await accessible(page);
  const pending = (await client.call('GET', `/credentials/${id}/oauth/device`)).json;
  expect(pending).toMatchObject({ state: 'pending', started_by: 'ana', interval: 5 });
  await expect(page.getByText(pending.user_code, { exact: true })).toBeVisible();
  // One is waited for at a time, and who may not act sees no code.
  expect((await client.call('POST', `/credentials/${id}/oauth/device`)).status).toBe(409);
  const viewer = await posthorn.client('vera');
  expect((await viewer.call('GET', `/credentials/${id}/oauth/device`)).json).toMatchObject({ state: 'pending', user_code: null });
  expect((await viewer.call('POST', `/credentials/${id}/oauth/device`)).status).toBe(403);

  const address = await page.getByRole('link', { name: /user_code=/ }).getAttribute('href');
  expect(address).toBe(pending.verification_uri_complete);
  await enter(page, address ?? '', 'Confirm');
  // The page follows.
  await expect(page.getByText('The provider gave a token.')).toBeVisible({ timeout: 20_000 });
  await accessible(page);
  expect((await client.call('GET', `/credentials/${id}/oauth`)).json).toMatchObject({ state: 'ok', last_accepted_at: null });

  const account = await client.add('/accounts', {
    name: 'by code', address: 'localhost', protocol: 'imap', port: dovecot.ports.imaps, credential_id: id, automatic_check: false,
    secure_connection_type: 'ssl', skip_certificate: true,
  });
  expect((await client.call('POST', `/accounts/${account}/check`)).json).toMatchObject({ outcome: 'ok', new_messages: 1 });
  const accepted = (await client.call('GET', `/credentials/${id}`)).json;
  expect(accepted).toMatchObject({ token_state: 'ok', token_expires_at: expect.any(String), last_accepted_at: expect.any(String) });

  // The same token to a server that takes mail.
  const outgoing = await client.add('/smtp', {
    name: 'by token', sender: `${USER}@localhost`, address: 'localhost', port: dovecot.ports.submission, credential_id: id,
    secure_connection_type: 'ssl', skip_certificate: true,
  });
  const send = async () => (await client.call('POST', `/smtp/${outgoing}/test`, { recipient: 'bo@example.org' })).json;
  const sent = await send();
  expect([sent.error, sent.stages.find((it: any) => it.stage === 'authenticate').detail]).toEqual([null, 'XOAUTH2']);
  await expect.poll(() => smtp.to('bo@example.org').length).toBe(1);
  // A token that was revoked before its time is replaced once: nothing is to be seen of it but the mail.
  await issuer.revokeTokens();
  expect((await send()).error).toBeNull();
  await expect.poll(() => smtp.to('bo@example.org').length).toBe(2);
  // With the consent taken back, who must act is named.
  await issuer.revoke();
  const refused = await send();
  expect(refused.error).toMatchObject({ kind: 'authentication', message: expect.stringContaining('(invalid_grant)') });
  expect(refused.error.message).toContain("the mailbox's owner has to sign in");
  expect(smtp.to('bo@example.org').length).toBe(2);

  await page.goto(`${posthorn.url}/settings/credentials`);
  await expect(page.getByRole('row', { name: /by code/ })).toContainText('Needs somebody to act');
  await accessible(page);
  await page.goto(`${posthorn.url}/settings/posture`);
  const list = page.getByRole('region', { name: 'Tokens, consents and secrets that end' });
  await expect(list.getByRole('row', { name: /by code/ })).toContainText('Refused: invalid_grant');
  await accessible(page);
  await list.getByRole('link', { name: 'by code' }).click();
  await expect(page).toHaveURL(`${posthorn.url}${OAUTH}/${id}`);
  expect((await client.call('GET', '/posture/secrets')).json.items)
    .toEqual([{ kind: 'oauth', id, name: 'by code', detail: 'refused invalid_grant', at: null, accounts: null }]);
  expect(await client.metrics()).toContain('posthorn_posture{list="secrets"} 1');
  expect(posthorn.log).not.toContain(CLIENT.secret);
  expect(posthorn.log).not.toContain(pending.user_code);
});

test('a code that its owner declines, one that is not waited for any more, and neither needs JavaScript', async ({ browser }) => {
  const { json: { id } } = await client.call('POST', '/credentials/oauth', settings('declined'));
  const context = await browser.newContext({ javaScriptEnabled: false, ignoreHTTPSErrors: true });
  const page = await context.newPage();
  await page.goto(`${posthorn.url}/sign-in`);
  await page.getByLabel('User name').fill('ana');
  await page.getByLabel('Password').fill('correct horse battery');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.goto(`${posthorn.url}${OAUTH}/${id}`);
  await page.getByRole('button', { name: 'Get a code' }).click();
  const { verification_uri, user_code } = (await client.call('GET', `/credentials/${id}/oauth/device`)).json;
  await expect(page.getByText(user_code, { exact: true })).toBeVisible();
  await expect(page.getByRole('link', { name: verification_uri, exact: true })).toHaveAttribute('href', verification_uri);
  await enter(page, verification_uri, 'Decline', user_code);
  await expect.poll(async () => (await client.call('GET', `/credentials/${id}/oauth/device`)).json.state, { timeout: 20_000 }).toBe('denied');
  await page.getByRole('link', { name: 'Look again' }).click();
  await expect(page.getByText("The mailbox's owner declined.")).toBeVisible();

  await page.getByRole('button', { name: 'Get another code' }).click();
  await page.getByRole('button', { name: 'Stop waiting' }).click();
  await expect(page.getByText('It was stopped here')).toBeVisible();
  expect((await client.call('DELETE', `/credentials/${id}/oauth/device`)).status).toBe(404);
  // A provider that knows nothing of it says so, on the page and by the interface.
  const { json: { version } } = await client.call('GET', `/credentials/${id}/oauth`);
  const changed = await client.call('PUT', `/credentials/${id}/oauth`, { ...settings('declined'), version, client_id: 'nobody' });
  expect([changed.status, changed.json.client_id]).toEqual([200, 'nobody']);
  expect((await client.call('PUT', `/credentials/${id}/oauth`, { ...settings('declined'), version })).status).toBe(409);
  expect((await client.call('POST', `/credentials/${id}/oauth/device`)).json).toMatchObject({ status: 502, detail: expect.stringContaining('(invalid_client)') });
  await page.getByRole('button', { name: 'Get another code' }).click();
  await expect(page.getByRole('alert')).toContainText('(invalid_client)');
  await page.goto(`${posthorn.url}/settings/audit`);
  for (const action of ['asked for', 'no longer waited for', 'led to no consent']) {
    await expect(page.getByRole('row', { name: new RegExp(`Device code ${action}`) }).first()).toBeVisible();
  }
  await context.close();
});

test('a secret that ends is listed in time, and a wrong day is refused where it was typed', async ({ page }) => {
  const soon = new Date(Date.now() + 20 * 86_400_000).toISOString().slice(0, 10);
  const wrong = await client.call('POST', '/credentials/oauth', { ...settings('dated'), secret_ends_on: 'soon' });
  expect([wrong.status, wrong.json.errors.map((it: any) => it.field)]).toEqual([422, ['secret_ends_on']]);
  const { json: { id } } = await client.call('POST', '/credentials/oauth', { ...settings('dated'), secret_ends_on: soon });
  await signIn(page, posthorn.url, 'ana');
  await page.goto(`${posthorn.url}${OAUTH}/${id}`);
  await expect(page.getByLabel('Client secret ends on')).toHaveValue(soon);
  expect((await client.call('GET', '/posture/secrets?within=10')).json.items.map((it: any) => it.name)).not.toContain('dated');
  await page.goto(`${posthorn.url}/settings/posture?list=secrets`);
  await expect(page.getByRole('row', { name: /dated/ })).toContainText('Secret');
});

test('settings go from one installation to another, secrets do not', async () => {
  await client.call('POST', '/credentials/oauth', settings('travels'));
  const document = JSON.parse(await posthorn.command(['export']));
  const [record] = document.credentials.filter((it: any) => it.name === 'travels');
  expect(record).toEqual({
    name: 'travels', username: USER, kind: 'oauth', provider: 'other', grant: 'device_code', tenant: '', client_id: CLIENT.id, scopes: 'openid',
    authorize_url: null, device_url: `${issuer.url}/device/auth`, token_url: `${issuer.url}/token`,
  });
  const other = await Posthorn.start();
  const file = join(authority.folder, 'document.json');
  const write = (it: object) => writeFileSync(file, JSON.stringify({ posthorn: document.posthorn, credentials: [it] }));
  write({ ...record, device_url: 'http://id.example.org/device' });
  await expect(other.command(['import', file])).rejects.toThrow(/travels.*device_url/);
  write(record);
  expect(await other.command(['import', file])).toBe('1 added, 0 changed\n');
  expect(await other.command(['import', file])).toBe('0 added, 0 changed\n');
  expect(JSON.parse(await other.command(['export'])).credentials).toEqual([record]);
  await other.stop();
});

test('a password that ends is listed until another one takes its place', async ({ page }) => {
  const soon = new Date(Date.now() + 20 * 86_400_000).toISOString().slice(0, 10);
  const id = await client.add('/credentials', { name: 'rotated', username: USER, secret: 'first', secret_ends_on: soon });
  const listed = async () => (await client.call('GET', '/posture/secrets')).json.items.filter((it: any) => it.name === 'rotated');
  expect((await listed()).map((it: any) => [it.kind, it.detail, it.at])).toEqual([['credential', 'secret', `${soon}T00:00:00Z`]]);
  await signIn(page, posthorn.url, 'ana');
  const rotate = `${posthorn.url}/settings/credentials/rotate/${id}`;
  await page.goto(rotate);
  await page.getByLabel('Password', { exact: true }).fill('second');
  await page.getByLabel('Password ends on').fill('in spring');
  await page.getByRole('button', { name: 'Rotate and check' }).click();
  await expect(page.getByRole('alert').first()).toContainText('Password ends on');
  await expect(page.getByLabel('Password ends on')).toHaveValue('in spring');
  expect((await listed()).length).toBe(1);
  await page.getByLabel('Password', { exact: true }).fill('second');
  await page.getByLabel('Password ends on').fill('');
  await page.getByRole('button', { name: 'Rotate and check' }).click();
  await expect(page).toHaveURL(/flash=/);
  expect(await listed()).toEqual([]);
});
