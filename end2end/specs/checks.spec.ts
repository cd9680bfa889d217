// How the checks are going, and what an account's ledger says: causes, quarantine, deletions, transcripts, notices.
import { createServer, type Server } from 'node:http';
import type { Page } from '@playwright/test';
import { Dovecot } from '../support/dovecot';
import { Client, Posthorn } from '../support/posthorn';
import { freePort } from '../support/process';
import { accessible, expect, hydrated, signIn, test } from '../support/test';

test.describe.configure({ mode: 'serial' });

const [ACCOUNTS, CHECKS, NOTICES] = ['/settings/email/imap-pop3', '/settings/email/checks', '/settings/email/notices'];
let dovecot: Dovecot;
let posthorn: Posthorn;
let client: Client;
let hooks: Server;
let hooked: string[];
/** Three accounts of one host where nobody listens. */
const refused: number[] = [];

/** Adds an account of the Dovecot, with a mailbox of its own. */
async function account(user: string, more = {}): Promise<number> {
  // Dovecot takes no spaces in names of users.
  const credential = await client.add('/credentials', { name: user, username: user.replace(' ', '-'), secret: 'pass' });
  return client.add('/accounts', {
    name: user, address: 'localhost', protocol: 'imap', port: dovecot.ports.imaps, credential_id: credential, skip_certificate: true,
    automatic_check: false, ...more,
  });
}

/** Changes an account as it is now. */
async function change(id: number, more: object): Promise<void> {
  const now = (await client.call('GET', `/accounts/${id}`)).json;
  const answer = await client.call('PUT', `/accounts/${id}`, { ...now, ...more });
  expect([answer.status, answer.text]).toEqual([200, answer.text]);
}

async function check(id: number, query = ''): Promise<any> {
  return (await client.call('POST', `/accounts/${id}/check${query}`)).json;
}

async function open(page: Page, path: string): Promise<void> {
  await page.goto(posthorn.url + path);
  await hydrated(page);
}

test.beforeAll(async () => {
  dovecot = await Dovecot.start();
  posthorn = await Posthorn.start();
  await posthorn.addUser('ana', 'administrator');
  await posthorn.addUser('vera', 'viewer');
  client = await posthorn.client('ana');
  hooked = [];
  hooks = createServer((request, response) => {
    let body = '';
    request.on('data', (part) => (body += part));
    request.on('end', () => { hooked.push(body); response.end(); });
  });
  await new Promise<void>((done) => hooks.listen(0, '127.0.0.1', done));
});
test.afterAll(async () => {
  hooks?.close();
  await posthorn?.stop();
  await dovecot?.stop();
});

test('a quiet installation says so', async ({ page }) => {
  await signIn(page, posthorn.url, 'ana');
  await hydrated(page);
  await page.getByRole('link', { name: 'Checks', exact: true }).click();
  await expect(page.getByText('Nothing holds checks up.')).toBeVisible();
  await expect(page.getByRole('region', { name: 'Instances' }).getByRole('row')).toHaveCount(2);
  await accessible(page);
});

test('three accounts of a host that refuses are one cause, and it goes away when they are mended', async ({ page }) => {
  await signIn(page, posthorn.url, 'ana');
  await open(page, CHECKS);
  const port = await freePort();
  for (const name of ['down 1', 'down 2', 'down 3']) {
    const id = await account(name, { port, automatic_check: true });
    refused.push(id);
    expect((await check(id)).error.kind).toBe('refused');
  }
  // The page follows without being asked.
  const cause = page.getByRole('listitem').filter({ has: page.getByRole('heading', { name: 'Connection refused, localhost: 3 accounts' }) });
  await expect(cause).toContainText('Check the port, and whether the mail service is running.');
  await expect(cause.getByRole('link', { name: /^down \d$/ })).toBeVisible();
  await accessible(page);

  const overview = (await client.call('GET', '/overview')).json;
  expect([overview.failing, overview.causes.length]).toEqual([3, 1]);
  expect(overview.causes[0]).toMatchObject({ kind: 'refused', accounts: 3, subject: { kind: 'host', name: 'localhost' } });

  await cause.getByRole('link', { name: 'Show these accounts' }).click();
  await expect(page).toHaveURL(/health=failing/);
  await expect(page.getByText('1-3 of 3')).toBeVisible();

  await open(page, CHECKS);
  await expect(page.getByRole('link', { name: 'Failing: 3' })).toBeVisible();
  for (const id of refused) {
    await change(id, { port: dovecot.ports.imaps, grant_credential: true });
    expect((await check(id)).outcome).toBe('ok');
  }
  await expect(page.getByText('Nothing holds checks up.')).toBeVisible();
  await expect(page.getByRole('link', { name: 'Failing: 0' })).toBeVisible();
});

test('the filter Health stands under More, in the address, and in the schedule that is made of the report', async ({ page }) => {
  await account('idle');
  await signIn(page, posthorn.url, 'ana');
  await hydrated(page);
  await expect(page.getByText('1-4 of 4')).toBeVisible();
  await page.getByRole('button', { name: 'More' }).click();
  await page.getByLabel('Health').selectOption('Never checked');
  await expect(page).toHaveURL(/health=never_checked/);
  await expect(page.getByText('1-1 of 1')).toBeVisible();
  await expect(page.getByRole('rowheader', { name: 'idle' })).toBeVisible();
  await accessible(page);
  await page.getByLabel('Health').selectOption('Good');
  await expect(page.getByText('1-3 of 3')).toBeVisible();
  await page.reload();
  await expect(page.getByLabel('Health')).toHaveValue('good');
  await open(page, '/settings/email/schedules/new?health=late');
  await expect(page.getByText('Health: Late')).toBeVisible();
  expect((await client.call('GET', '/accounts?health=good')).json.total).toBe(3);
});

test('the form enables the days before deletion only without a copy kept, and push only for IMAP', async ({ page }) => {
  await signIn(page, posthorn.url, 'ana');
  await open(page, `${ACCOUNTS}/new`);
  const days = page.getByLabel('Days before deletion');
  await expect(days).toBeDisabled();
  await page.getByRole('group', { name: 'Keep a copy on the server' }).getByLabel('No').check();
  await expect(days).toBeEnabled();
  await page.getByLabel('Protocol').selectOption('POP3');
  await expect(page.getByRole('group', { name: 'Push (IMAP IDLE)' }).getByLabel('Yes')).toBeDisabled();
  await page.getByLabel('Protocol').selectOption('IMAP');
  await expect(page.getByRole('group', { name: 'Push (IMAP IDLE)' }).getByLabel('Yes')).toBeEnabled();
  await days.fill('400');
  await page.getByRole('button', { name: 'Save account' }).click();
  await expect(page.getByRole('link', { name: 'Days before deletion must be between 0 and 365' })).toBeVisible();
  await accessible(page);
});

test('a message is held, announced for deletion, deleted when its time has come, and leaves a receipt', async ({ page }) => {
  dovecot.deliver('held', 'From: a@example.org\nSubject: Held back <b>\n\nGood day\n');
  const id = await account('held', { keep_copy: false, hold_days: 2 });
  expect((await client.call('GET', `/accounts/${id}`)).json).toMatchObject({ hold_days: 2, push: false });
  const first = await check(id);
  expect([first.outcome, first.new_messages, first.deleted_messages]).toEqual(['ok', 1, 0]);
  expect(dovecot.messages('held')).toHaveLength(1);

  const planned = (await client.call('GET', `/accounts/${id}/deletions/planned`)).json;
  expect(planned.total).toBe(1);
  expect(Date.parse(planned.items[0].due_at) - Date.parse(planned.items[0].stored_at)).toBe(2 * 24 * 3_600_000);

  await signIn(page, posthorn.url, 'ana');
  await open(page, `${ACCOUNTS}/${id}/inbox`);
  await page.getByRole('link', { name: 'Deletions' }).click();
  const plan = page.getByRole('region', { name: 'What the next checks will delete' });
  await expect(plan.getByRole('rowheader', { name: 'Held back <b>' })).toBeVisible();
  await expect(page.getByText('Nothing was deleted on the server.')).toBeVisible();
  await accessible(page);

  await change(id, { hold_days: 0 });
  expect((await check(id)).deleted_messages).toBe(1);
  expect(dovecot.messages('held')).toEqual([]);
  await page.reload();
  const receipts = page.getByRole('region', { name: 'What was deleted on the server' });
  await expect(receipts.getByRole('row', { name: /Held back <b>/ })).toContainText('Confirmed by the server');
  await expect(page.getByText('Nothing will be deleted.')).toBeVisible();
  await accessible(page);
  await receipts.getByRole('link', { name: 'Held back <b>' }).click();
  await expect(page.getByText('Good day')).toBeVisible();
  const receipt = (await client.call('GET', `/accounts/${id}/deletions`)).json.items[0];
  expect([receipt.proof, /^[0-9a-f]{64}$/.test(receipt.blake3)]).toEqual(['confirmed', true]);
});

test('a transcript shows the dialogue, and no password', async ({ page }) => {
  const secret = Buffer.from('\0spoken\0pass').toString('base64');
  dovecot.deliver('spoken', 'From: a@example.org\nSubject: Spoken\n\nnobody else reads this\n');
  for (const [protocol, port, word] of [['imap', dovecot.ports.imaps, /SELECT|EXAMINE/i], ['pop3', dovecot.ports.pop3s, /UIDL/i]] as const) {
    const credential = await client.add('/credentials', { name: `spoken ${protocol}`, username: 'spoken', secret: 'pass' });
    const id = await account(`spoken by ${protocol}`, { protocol, port, credential_id: credential });
    const run = await check(id, '?transcript=true');
    expect([run.outcome, run.new_messages, run.has_transcript, run.due_at]).toEqual(['ok', 1, true, null]);
    const { status, text } = await client.call('GET', `/accounts/${id}/checks/${run.id}/transcript`);
    expect(status).toBe(200);
    expect(text).toMatch(word);
    expect(text).not.toContain(secret);
    expect(text).not.toMatch(/\bpass\b/);
    expect(text).not.toContain('nobody else reads this');
    expect((await check(id)).has_transcript).toBe(false);
  }
  const id = await account('spoken');
  await signIn(page, posthorn.url, 'ana');
  await open(page, `${ACCOUNTS}/${id}/inbox`);
  await page.getByRole('button', { name: 'Check with transcript' }).click();
  await page.getByRole('link', { name: 'Transcript' }).first().click();
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Transcript of a check');
  await expect(page.getByRole('region', { name: 'Transcript' })).toContainText(/SELECT|EXAMINE/i);
  await hydrated(page);
  await accessible(page);
});

test('a quarantine that is empty says so', async ({ page }) => {
  await signIn(page, posthorn.url, 'ana');
  await open(page, `${ACCOUNTS}/${refused[0]}/inbox`);
  await page.getByRole('link', { name: 'Quarantine' }).click();
  await expect(page.getByRole('heading', { name: 'Nothing in quarantine' })).toBeVisible();
  await accessible(page);
  expect((await client.call('GET', `/accounts/${refused[0]}/quarantine`)).json.total).toBe(0);
  expect((await client.call('POST', `/accounts/${refused[0]}/quarantine/retry`)).json).toEqual({ retried: 0 });
  expect((await client.call('POST', `/accounts/${refused[0]}/quarantine/999/retry`)).status).toBe(404);
});

test('notices go where they were told to, and a test shows what came of it', async ({ page }) => {
  const { port } = hooks.address() as { port: number };
  await signIn(page, posthorn.url, 'ana');
  await open(page, NOTICES);
  await accessible(page);
  await page.getByRole('group', { name: 'Send notices' }).getByLabel('Yes').check();
  await page.getByRole('button', { name: 'Save notices' }).click();
  await expect(page.getByRole('link', { name: 'Enter or choose: Recipients' })).toBeVisible();
  await page.getByLabel('Webhook').fill('mailto:ana@example.org');
  await page.getByRole('button', { name: 'Save notices' }).click();
  await expect(page.getByRole('link', { name: /^Webhook must be a web address/ })).toBeVisible();
  await accessible(page);
  await page.getByLabel('Webhook').fill(`http://127.0.0.1:${port}/posthorn`);
  await page.getByLabel('Minutes to wait').fill('0');
  await page.getByRole('button', { name: 'Save notices' }).click();
  await expect(page.getByText('The notices were saved.')).toBeVisible();
  await hydrated(page);
  await page.getByRole('button', { name: 'Send test notice' }).click();
  await expect(page.getByText('What came of the test:')).toBeVisible();
  expect(hooked).toHaveLength(1);
  expect(() => JSON.parse(hooked[0])).not.toThrow();
  await hydrated(page);
  await accessible(page);
  expect((await client.call('GET', '/notices')).json).toEqual({
    enabled: true, recipients: [], webhook: `http://127.0.0.1:${port}/posthorn`, after_minutes: 0, language: 'en',
  });
});

test('a viewer sees how it goes and changes nothing', async ({ page }) => {
  await signIn(page, posthorn.url, 'vera');
  await open(page, NOTICES);
  await expect(page.getByLabel('Webhook')).toBeVisible();
  await expect(page.getByRole('button', { name: 'Save notices' })).toHaveCount(0);
  await expect(page.getByRole('button', { name: 'Send test notice' })).toHaveCount(0);
  await open(page, CHECKS);
  await expect(page.getByRole('heading', { name: 'Incidents' })).toBeVisible();
});

test.describe('without JavaScript', () => {
  test.use({ javaScriptEnabled: false });

  test('the page of checks is whole, and a retry leads back to the quarantine', async ({ page }) => {
    await signIn(page, posthorn.url, 'ana');
    await page.goto(posthorn.url + CHECKS);
    await expect(page.getByText('Nothing holds checks up.')).toBeVisible();
    const quarantine = `${posthorn.url}${ACCOUNTS}/${refused[0]}/quarantine`;
    const answer = await page.request.post(`${quarantine}/retry`, { form: {}, maxRedirects: 0 });
    expect([answer.status(), answer.headers().location]).toEqual([303, `${ACCOUNTS}/${refused[0]}/quarantine?flash=retried`]);
    await page.goto(`${quarantine}?flash=retried`);
    await expect(page.getByRole('status').first()).toContainText('fetched again with the next check');
    expect((await page.request.post(`${quarantine}/999/retry`, { form: {} })).status()).toBe(404);
  });

  test('a check with transcript leads to it', async ({ page }) => {
    const id = await account('plain');
    await signIn(page, posthorn.url, 'ana');
    await page.goto(`${posthorn.url}${ACCOUNTS}/${id}/inbox`);
    await page.getByRole('button', { name: 'Check with transcript' }).click();
    await expect(page).toHaveURL(/\/checks\/\d+\/transcript\?flash=checked&/);
    await expect(page.getByRole('region', { name: 'Transcript' })).toBeVisible();
  });

  test('the form of notices comes back with what was typed, and saves', async ({ page }) => {
    await signIn(page, posthorn.url, 'ana');
    await page.goto(posthorn.url + NOTICES);
    await page.getByLabel('Recipients').fill('not an address');
    await page.getByRole('button', { name: 'Save notices' }).click();
    await expect(page.getByRole('heading', { name: 'There is a problem' })).toBeVisible();
    await expect(page.getByLabel('Recipients')).toHaveValue('not an address');
    await page.getByLabel('Recipients').fill('ana@example.org');
    await page.getByLabel('Language').last().selectOption('Español');
    await page.getByRole('button', { name: 'Save notices' }).click();
    await expect(page.getByText('The notices were saved.')).toBeVisible();
    expect((await client.call('GET', '/notices')).json).toMatchObject({ recipients: ['ana@example.org'], language: 'es' });
    await page.getByRole('button', { name: 'Send test notice' }).click();
    await expect(page.getByText('What came of the test:')).toBeVisible();
    expect(hooked).toHaveLength(2);
  });
});
