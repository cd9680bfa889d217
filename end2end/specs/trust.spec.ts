// Whom an account trusts: the system, an authority of one's own, one key, or anybody for a while.
import { Authority, pin } from '../support/authority';
import { Dovecot, type Identity } from '../support/dovecot';
import { type Client, Posthorn } from '../support/posthorn';
import { accessible, expect, hydrated, signIn, test } from '../support/test';

const REPORT = '/settings/email/imap-pop3';
const AUTHORITIES = '/settings/authorities';
let dovecot: Dovecot;
let posthorn: Posthorn;
let client: Client;
let ours: Authority;
let others: Authority;
let identity: Identity;
let credential: number;
let n = 0;

test.beforeAll(async () => {
  [ours, others] = [await Authority.make('Our Lab Root'), await Authority.make('Other Root')];
  identity = await ours.issue('localhost');
  dovecot = await Dovecot.start(identity);
  posthorn = await Posthorn.start();
  await posthorn.addUser('ana', 'administrator');
  client = await posthorn.client('ana');
  credential = await client.add('/credentials', { name: 'mailbox', username: 'somebody', secret: 'pass' });
  dovecot.deliver('somebody', 'Subject: Hello\r\n\r\nHello\r\n');
});
test.afterAll(async () => {
  await posthorn?.stop();
  await dovecot?.stop();
  ours?.stop();
  others?.stop();
});

/** Adds an account with that trust, checks it, and answers with its number and the run. */
async function checked(trust: object, protocol: 'imap' | 'pop3' = 'imap', kind: 'ssl' | 'tls' = 'ssl'): Promise<{ id: number; run: any }> {
  n += 1;
  const id = await client.add('/accounts', {
    name: `trusting ${n}`, address: 'localhost', protocol, port: dovecot.ports[kind === 'ssl' ? `${protocol}s` : protocol],
    credential_id: credential, automatic_check: false, secure_connection_type: kind, ...trust,
  });
  return { id, run: (await client.call('POST', `/accounts/${id}/check`)).json };
}

test('the own authority passes, and any other is refused with its explanation', async () => {
  const [right, wrong] = [
    await client.add('/authorities', { name: 'Ours', pem: ours.certificate }),
    await client.add('/authorities', { name: 'Theirs', pem: others.certificate }),
  ];
  for (const protocol of ['imap', 'pop3'] as const) {
    for (const kind of ['ssl', 'tls'] as const) {
      const passed = (await checked({ trust: 'ca', ca_id: right }, protocol, kind)).run;
      expect([protocol, kind, passed.outcome, passed.error]).toEqual([protocol, kind, 'ok', null]);
      const refused = (await checked({ trust: 'ca', ca_id: wrong }, protocol, kind)).run;
      expect([refused.outcome, refused.error.kind]).toEqual(['failed', 'certificate']);
      expect(refused.error.message).toContain('issuer \u00abOur Lab Root\u00bb');
      expect(refused.error.message).toContain('the chosen authority');
    }
  }
  const system = (await checked({})).run;
  expect(system.error.kind).toBe('certificate');
  expect(system.error.message).toContain("the system's roots");
  const used = (await client.call('GET', `/authorities/${right}`)).json;
  expect([used.used_by, used.subject, used.certificates, used.pem]).toEqual([4, 'CN=Our Lab Root', 1, ours.certificate]);
  expect((await client.call('DELETE', `/authorities/${right}`)).status).toBe(409);
  expect((await client.call('POST', '/authorities', { name: 'Key', pem: ours.certificate + identity.key })).status).toBe(422);
});

test('other certificates of an authority in use need the grant', async () => {
  const id = await client.add('/authorities', { name: 'Changing', pem: others.certificate });
  const account = (await checked({ trust: 'ca', ca_id: id })).id;
  const version = (await client.call('GET', `/authorities/${id}`)).json.version;
  const change = { name: 'Changing', pem: ours.certificate, version };
  const refused = await client.call('PUT', `/authorities/${id}`, change);
  expect([refused.status, refused.text.includes('pem')]).toEqual([422, true]);
  expect((await client.call('PUT', `/authorities/${id}`, { ...change, grant_credential: true })).status).toBe(200);
  // The changed authority counts with the next check.
  expect((await client.call('POST', `/accounts/${account}/check`)).json.outcome).toBe('ok');
});

test('a pinned key passes, and a changed one is refused', async () => {
  const { id, run } = await checked({ trust: 'pin', pin: pin(identity) });
  expect([run.outcome, run.error]).toEqual(['ok', null]);
  const unknown = (await checked({})).run.error.message;
  // What a failed check shows is what a person compares and pins.
  expect(unknown).toContain(pin(identity));
  const next = await ours.issue('localhost');
  dovecot.show(next);
  await expect.poll(async () => (await client.call('POST', `/accounts/${id}/check`)).json.error?.message ?? '').toContain(
    `its key is ${pin(next)}, and ${pin(identity)} is pinned`,
  );
  dovecot.show(identity);
  await expect.poll(async () => (await client.call('POST', `/accounts/${id}/check`)).json.outcome).toBe('ok');
});

test('skipping needs neither reason nor end, and ends with its day', async () => {
  expect((await checked({ skip_certificate: true })).run.outcome).toBe('ok');
  const until = await checked({ skip_certificate: true, skip_reason: 'until May', skip_until: '2999-12-31' });
  expect(until.run.outcome).toBe('ok');
  const stored = (await client.call('GET', `/accounts/${until.id}`)).json;
  expect([stored.skip_certificate, stored.skip_reason, stored.skip_until, stored.trust]).toEqual([true, 'until May', '2999-12-31', 'system']);
  const over = (await checked({ skip_certificate: true, skip_until: '2025-12-31' })).run;
  expect([over.outcome, over.error.kind]).toEqual(['failed', 'certificate']);
  expect(over.error.message).toContain('skipped until 2025-12-31');
  const found = (await client.call('GET', '/accounts?skip_certificate=true')).json;
  expect([found.total, found.items.every((it: any) => it.skip_certificate)]).toEqual([3, true]);
  // A later end is a new permission to send the credential to anybody.
  const later = { ...stored, skip_until: '2999-12-30' };
  const refused = await client.call('PUT', `/accounts/${until.id}`, later);
  expect([refused.status, refused.text.includes('credential_id')]).toEqual([422, true]);
  expect((await client.call('PUT', `/accounts/${until.id}`, { ...later, grant_credential: true })).status).toBe(200);
});

test('an authority is registered from a file, chosen in the form, and guarded while it is used', async ({ page }) => {
  await signIn(page, posthorn.url, 'ana');
  await page.getByRole('link', { name: 'Certificate authorities' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Certificate authorities');
  await hydrated(page);
  await accessible(page);
  await page.getByRole('link', { name: 'New', exact: true }).first().click();
  await accessible(page);
  await page.getByLabel('Name', { exact: true }).fill('From a file');
  await page.getByRole('button', { name: 'Save certificate authority' }).click();
  await expect(page.getByRole('alert')).toContainText('Certificates (PEM)');
  await page.getByLabel('PEM file', { exact: true }).setInputFiles({
    name: 'ca.pem', mimeType: 'application/x-pem-file', buffer: Buffer.from(ours.certificate),
  });
  await page.getByRole('button', { name: 'Save certificate authority' }).click();
  await expect(page.getByRole('status').first()).toContainText('The certificate authority was saved.');
  const row = page.getByRole('row').filter({ hasText: 'From a file' });
  await expect(row).toContainText('CN=Our Lab Root');

  await page.goto(`${posthorn.url}${REPORT}/new`);
  await hydrated(page);
  const field = (name: string) => page.getByLabel(name, { exact: true });
  const skip = page.getByRole('group', { name: 'Skip certificate' });
  await expect(field('Certificate trust')).toBeEnabled();
  await expect(field('Certificate authority')).toBeDisabled();
  await expect(field('Reason')).toBeDisabled();
  await skip.getByLabel('Yes').check();
  await expect(field('Certificate trust')).toBeDisabled();
  await expect(field('Reason')).toBeEnabled();
  await expect(field('End date')).toBeEnabled();
  await skip.getByLabel('No').check();
  await page.getByRole('group', { name: 'Use safe connection' }).getByLabel('No').check();
  await expect(field('Certificate trust')).toBeDisabled();
  await page.getByRole('group', { name: 'Use safe connection' }).getByLabel('Yes').check();
  await field('Certificate trust').selectOption('Pinned key');
  await expect(field('Fingerprint of the key')).toBeEnabled();
  await field('Certificate trust').selectOption('Own CA');
  await expect(field('Fingerprint of the key')).toBeDisabled();
  await field('Account Name').fill('By form');
  await field('Address').fill('localhost');
  await field('Protocol').selectOption('IMAP');
  await field('Port').fill(`${dovecot.ports.imaps}`);
  await field('Credential for authentication').selectOption({ label: 'mailbox (somebody)' });
  await page.getByRole('button', { name: 'Save account' }).click();
  await expect(page.getByRole('alert')).toContainText('Certificate authority');
  await field('Certificate authority').selectOption({ label: 'From a file (CN=Our Lab Root)' });
  await accessible(page);
  await page.getByRole('button', { name: 'Save account' }).click();
  await expect(page.getByRole('status').first()).toContainText('The account was saved.');
  const { items } = (await client.call('GET', '/accounts?name=By%20form')).json;
  expect((await client.call('POST', `/accounts/${items[0].id}/check`)).json.outcome).toBe('ok');

  await page.goto(posthorn.url + AUTHORITIES);
  await page.getByRole('link', { name: 'From a file' }).click();
  await expect(page.getByRole('main')).toContainText('It cannot be deleted while these trust it.');
  await expect(page.getByRole('link', { name: 'By form' })).toBeVisible();
  await accessible(page);
});

test('the report finds all that skip their certificate', async ({ page }) => {
  await signIn(page, posthorn.url, 'ana');
  await hydrated(page);
  await page.getByRole('button', { name: 'More' }).click();
  await page.getByLabel('Skip certificate', { exact: true }).selectOption('Yes');
  await expect(page).toHaveURL(/skip_certificate=true/);
  await expect(page.getByRole('row')).toHaveCount(4);
  await expect(page.getByText('Certificate skipped').first()).toBeAttached();
});

test('export and import carry whom an account trusts', async () => {
  const document = JSON.parse(await posthorn.command(['export']));
  const mine = document.accounts.find((it: any) => it.trust === 'ca');
  expect(document.authorities.map((it: any) => it.name)).toContain(mine.ca);
  expect(mine.ca_id).toBeUndefined();
  expect(document.accounts.some((it: any) => it.pin === pin(identity))).toBe(true);
  expect(document.accounts.some((it: any) => it.skip_until === '2999-12-30')).toBe(true);
});
