// A password that was changed at the mail server is replaced once, and every account that uses it is checked.
import { Dovecot } from '../support/dovecot';
import { type Client, Posthorn } from '../support/posthorn';
import { accessible, expect, hydrated, signIn, test } from '../support/test';

let dovecot: Dovecot;
let posthorn: Posthorn;
let client: Client;

test.beforeAll(async () => {
  dovecot = await Dovecot.start();
  posthorn = await Posthorn.start();
  await posthorn.addUser('ana', 'administrator');
  client = await posthorn.client('ana');
});
test.afterAll(async () => {
  await posthorn?.stop();
  await dovecot?.stop();
});

/** A credential with an old password, and two accounts that were refused for it; a third one is disabled. */
async function outdated(name: string): Promise<number> {
  const credential = await client.add('/credentials', { name, username: name, secret: 'old' });
  const add = (nth: number, more: object) => client.add('/accounts', {
    name: `${name} ${nth}`, address: 'localhost', port: dovecot.ports.imaps, protocol: 'imap', credential_id: credential,
    automatic_check: false, secure_connection_type: 'ssl', skip_certificate: true, ...more,
  });
  const first = await add(1, {});
  await add(2, { protocol: 'pop3', port: dovecot.ports.pop3s });
  await add(3, { enabled: false });
  expect((await client.call('POST', `/accounts/${first}/check`)).json.error.kind).toBe('authentication');
  return credential;
}

const pathOf = (credential: number) => `${posthorn.url}/settings/credentials/rotate/${credential}`;

test('a new password is entered once, and the page follows how each account does with it', async ({ page }) => {
  const credential = await outdated('rotated');
  await signIn(page, posthorn.url, 'ana');
  await page.goto(`${posthorn.url}/settings/credentials/${credential}`);
  await hydrated(page);
  await page.getByRole('link', { name: 'Rotate the password and check all accounts' }).click();
  await page.getByRole('button', { name: 'Rotate and check' }).click();
  await expect(page.getByRole('alert').first()).toContainText('Password');
  await accessible(page);
  await page.getByLabel('Password', { exact: true }).fill('pass');
  await page.getByRole('button', { name: 'Rotate and check' }).click();
  await expect(page.getByRole('status').first()).toContainText('The credential was saved.');
  const account = (name: string) => page.getByRole('listitem').filter({ hasText: name });
  for (const name of ['rotated 1', 'rotated 2']) await expect(account(name)).toContainText('Checked');
  await expect(account('rotated 3')).toContainText('Disabled');
  await accessible(page);
  const { items } = (await client.call('GET', '/accounts?name=rotated')).json;
  for (const { id, enabled } of items) {
    const [last] = (await client.call('GET', `/accounts/${id}/checks`)).json.items;
    expect([id, last?.outcome]).toEqual([id, enabled ? 'ok' : undefined]);
  }
});

test.describe('without script', () => {
  test.use({ javaScriptEnabled: false });

  test('it works the same', async ({ page }) => {
    const credential = await outdated('plainly');
    await signIn(page, posthorn.url, 'ana');
    await page.goto(pathOf(credential));
    await page.getByLabel('Password', { exact: true }).fill('pass');
    await page.getByRole('button', { name: 'Rotate and check' }).click();
    await expect(page.getByText('The credential was saved.')).toBeVisible();
    await expect(async () => {
      await page.reload();
      await expect(page.getByRole('listitem').filter({ hasText: 'plainly 2' })).toContainText('Checked', { timeout: 100 });
    }).toPass();
  });
});
