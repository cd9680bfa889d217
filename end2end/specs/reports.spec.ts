// Reports that leave the house: SMTP configuration, schedules, what is delivered; each file is opened by another program.
import { writeFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Client, Posthorn } from '../support/posthorn';
import { run } from '../support/process';
import { pdfText, SMTP_PASSWORD, SMTP_USER, SmtpServer } from '../support/smtp';
import { accessible, expect, hydrated, signIn, test } from '../support/test';

const [REPORT, SMTP, SCHEDULES] = ['/settings/email/imap-pop3', '/settings/email/smtp', '/settings/email/schedules'];
let posthorn: Posthorn;
let client: Client;
let smtp: SmtpServer;
let credential: number;

const account = (name: string, more = {}) => ({
  name, address: 'mail.example.org', protocol: 'imap', credential_id: credential, automatic_check: false, ...more,
});
const schedule = (name: string, more = {}) => ({
  name, filter: {}, sort: 'name', recurrence: { kind: 'daily' }, time: '08:00', zone: 'UTC', formats: ['csv'],
  recipients: ['ana@example.org'], language: 'en', only_when_changed: false, enabled: true, ...more,
});

/** A way to send, for a test that does not follow the one that enters it. */
async function canSend(): Promise<void> {
  if ((await client.call('GET', '/smtp')).json.total > 0) return;
  await client.add('/smtp', {
    name: 'Relay', default: true, sender: 'posthorn@example.org', address: 'localhost', port: smtp.port, skip_certificate: true,
    secure_connection_type: 'tls', credential_id: credential,
  });
}

/** Runs a schedule by hand and waits until it has ended. */
async function runNow(id: number): Promise<any> {
  const begun = await client.call('POST', `/schedules/${id}/run`);
  expect(begun.status).toBe(202);
  let ended: any;
  await expect.poll(async () => {
    const { items } = (await client.call('GET', `/schedules/${id}/runs`)).json;
    ended = items.find((it: any) => it.id === begun.json.id);
    return ended.finished_at !== null;
  }, { timeout: 20_000 }).toBe(true);
  return ended;
}

test.beforeAll(async () => {
  posthorn = await Posthorn.start();
  await posthorn.addUser('ana', 'administrator');
  client = await posthorn.client('ana');
  smtp = await SmtpServer.start('starttls');
  credential = await client.add('/credentials', { name: 'Mailer', username: SMTP_USER, secret: SMTP_PASSWORD });
  for (const name of ['=cmd|calc', '+1', '@sum', 'São Paulo', 'Почта', 'بريد']) await client.add('/accounts', account(`${name}`));
  await client.add('/accounts', account('Bills', { port: 1143 }));
  await client.add('/accounts', account('Bills, old', { enabled: false }));
});
test.afterAll(async () => {
  await posthorn?.stop();
  await smtp?.stop();
});
test.beforeEach(async ({ page }) => signIn(page, posthorn.url, 'ana'));

test('an SMTP configuration is entered, tested and used', async ({ page }) => {
  await page.getByRole('link', { name: 'SMTP configuration' }).click();
  await expect(page.getByRole('main')).toContainText('Register the mail server');
  await page.getByRole('link', { name: 'New', exact: true }).first().click();
  await hydrated(page);
  await accessible(page);
  await page.getByRole('button', { name: 'Save SMTP configuration' }).click();
  await expect(page.getByRole('alert')).toContainText('Enter or choose: Sender');
  await page.getByLabel('Name', { exact: true }).fill('Relay <b>');
  await page.getByLabel('Sender').fill('posthorn@example.org');
  await page.getByLabel('Address').fill('localhost');
  await page.getByLabel('Port').fill(`${smtp.port}`);
  await page.getByLabel('Credential for authentication').selectOption(`${credential}`);
  await expect(page.getByLabel('Network Connector', { exact: true })).toBeDisabled();
  await page.getByRole('button', { name: 'Save SMTP configuration' }).click();
  await expect(page.getByText('The SMTP configuration was saved.')).toBeVisible();
  await accessible(page);

  // The certificate is its own witness: refused until it is skipped on purpose.
  await page.getByRole('link', { name: 'Test setting' }).click();
  await hydrated(page);
  await page.getByLabel('Recipient').fill('ana@example.org');
  await page.getByRole('button', { name: 'Send test message' }).click();
  await expect(page.getByRole('main')).toContainText('certificate is not accepted', { timeout: 15_000 });
  expect(smtp.mails()).toEqual([]);

  await page.goto(`${posthorn.url}${SMTP}/1`);
  await hydrated(page);
  await page.getByRole('group', { name: 'Skip certificate' }).getByLabel('Yes').check();
  await page.getByRole('button', { name: 'Save SMTP configuration' }).click();
  await expect(page.getByRole('alert').first()).toContainText('Confirm that the credential may be sent there');
  await page.getByLabel('Send this credential to the changed destination').check();
  await page.getByRole('button', { name: 'Save SMTP configuration' }).click();
  await page.getByRole('link', { name: 'Test setting' }).click();
  await hydrated(page);
  await page.getByLabel('Recipient').fill('ana@example.org');
  await page.getByRole('button', { name: 'Send test message' }).click();
  await expect(page.getByText('The server took the message.')).toBeVisible({ timeout: 15_000 });
  await expect(page.getByRole('main')).toContainText('Send the message');
  await accessible(page);
  const [mail] = smtp.to('ana@example.org');
  expect(mail).toMatchObject({ from: 'posthorn@example.org', secure: true, user: SMTP_USER });
  expect(mail.headers.subject).toBe('Test of an SMTP configuration');

  await page.getByLabel('Recipient').fill('refused@example.org');
  await page.getByRole('button', { name: 'Send test message' }).click();
  await expect(page.getByRole('main')).toContainText('nobody of this name', { timeout: 15_000 });
});

test('a test without script shows its stages too', async ({ browser }) => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await signIn(page, posthorn.url, 'ana');
  await page.goto(`${posthorn.url}${SMTP}/1/test`);
  await page.getByLabel('Recipient').fill('bo@example.org');
  await page.getByRole('button', { name: 'Send test message' }).click();
  await expect(page.getByText('The server took the message.')).toBeVisible();
  expect(smtp.to('bo@example.org')).toHaveLength(1);
  await context.close();
});

test('a wrong password is named and never sent in clear', async () => {
  const wrong = await client.add('/credentials', { name: 'Wrong', username: SMTP_USER, secret: 'no' });
  const base = { sender: 'posthorn@example.org', address: 'localhost', port: smtp.port, skip_certificate: true, secure_connection_type: 'tls' };
  const id = await client.add('/smtp', { ...base, name: 'Wrong', credential_id: wrong });
  const refused = (await client.call('POST', `/smtp/${id}/test`, { recipient: 'ana@example.org' })).json;
  expect(refused.error.kind).toBe('authentication');
  // A server that offers no STARTTLS gets nothing.
  const plain = await SmtpServer.start('plain');
  const other = await client.add('/smtp', { ...base, name: 'No TLS', port: plain.port, credential_id: wrong });
  const stages = (await client.call('POST', `/smtp/${other}/test`, { recipient: 'ana@example.org' })).json;
  expect(stages.error).toMatchObject({ kind: 'tls', message: 'the server does not offer STARTTLS; nothing was sent in clear' });
  const clear = await client.add('/smtp', { ...base, name: 'Clear', port: plain.port, secure_connection: false, credential_id: credential });
  expect((await client.call('POST', `/smtp/${clear}/test`, { recipient: 'cy@example.org' })).json.error).toBeNull();
  expect(plain.to('cy@example.org')[0]).toMatchObject({ secure: false, user: SMTP_USER });
  await plain.stop();
  const ssl = await SmtpServer.start('ssl');
  const implicit = await client.add('/smtp', { ...base, name: 'SSL', port: ssl.port, secure_connection_type: 'ssl', credential_id: credential });
  const answer = (await client.call('POST', `/smtp/${implicit}/test`, { recipient: 'di@example.org' })).json;
  expect(answer.error).toBeNull();
  expect(answer.stages.map((it: any) => it.stage)).toEqual(['resolve', 'connect', 'tls', 'greeting', 'authenticate', 'send']);
  await ssl.stop();
});

test('a report is scheduled from the Actions menu and delivered on time', async ({ page }) => {
  // Its time comes with the next minute of the clock.
  test.setTimeout(150_000);
  await canSend();
  await page.goto(`${posthorn.url}${REPORT}?name=bill&sort=-port`);
  await hydrated(page);
  await page.getByRole('button', { name: 'Actions' }).click();
  await page.getByRole('menuitem', { name: 'Schedule Report' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toContainText('Schedule Report');
  await expect(page.getByRole('main')).toContainText('Name: bill; Sorted by Port, descending. 2 accounts.');
  await accessible(page);
  await page.getByLabel('Name', { exact: true }).fill('Every minute');
  await expect(page.getByLabel('Cron expression')).toBeDisabled();
  await page.getByLabel('Recurrence').selectOption('cron');
  await page.getByLabel('Cron expression').fill('0 8 31 2 *');
  await expect(page.getByText('must be a cron expression of five fields that comes round')).toBeVisible();
  await page.getByLabel('Cron expression').fill('* * * * *');
  await page.getByLabel('Time zone').fill('America/Sao_Paulo');
  await expect(page.locator('.next-runs li')).toHaveCount(3);
  await expect(page.locator('.next-runs li').first()).toContainText(/^\d{4}-\d\d-\d\d \d\d:\d\d -03$/);
  await page.getByLabel('PDF').check();
  await page.getByLabel('HTML table in the mail').check();
  await page.getByLabel('Recipients').fill('minute@example.org, refused@example.org');
  await page.getByRole('button', { name: 'Save schedule' }).click();
  await expect(page.getByText('The schedule was saved.')).toBeVisible();
  await expect(page.getByRole('main')).toContainText('Cron * * * * *, America/Sao_Paulo');
  // An account that comes after saving is in it: the schedule follows its filter.
  await client.add('/accounts', account('Bills, new', { port: 1144 }));
  const { items } = (await client.call('GET', '/schedules')).json;
  const due = Date.parse(items.find((it: any) => it.name === 'Every minute').next_run_at);
  await expect.poll(() => smtp.to('minute@example.org').length, { timeout: 75_000, intervals: [200] }).toBe(1);
  expect(Date.now() - due).toBeLessThan(10_000);
  const [mail] = smtp.to('minute@example.org');
  expect(mail.headers['auto-submitted']).toBe('auto-generated');
  const [csv, pdf] = mail.attachments;
  expect(csv.cells!.slice(1).map((it) => [it[1], it[5]])).toEqual([['Bills, new', '1144'], ['Bills', '1143'], ['Bills, old', '993']]);
  expect(csv.cells![0].slice(0, 3)).toEqual(['ID', 'Name', 'Secure connection']);
  const text = await pdfText(pdf.path);
  for (const expected of ['Every minute', 'Name: bill', 'Bills, new', '1144', 'Page 1 of 1', '-03']) expect(text).toContain(expected);
  expect(mail.html).toContain('Bills, new');
  // The page follows by itself, and says who did not get it.
  await expect(page.getByRole('row').filter({ hasText: 'Partly sent' }).first()).toBeVisible({ timeout: 20_000 });
  await expect(page.getByRole('main')).toContainText('nobody of this name');
  await accessible(page);
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'CSV' }).last().click()]);
  expect(readFileSync(await download.path(), 'utf8')).toContain('"Bills, new"');
  await page.getByRole('button', { name: 'Pause' }).click();
  await expect(page.getByText('The schedule is paused.')).toBeVisible();
  await page.getByRole('button', { name: 'Send again' }).last().click();
  await expect(page.getByText('The report is being sent again.')).toBeVisible();
  await expect.poll(async () => {
    const { items: runs } = (await client.call('GET', `/schedules/${items[0].id}/runs`)).json;
    return runs.at(-1).deliveries[1].state;
  }).toBe('failed');
  await page.goto(`${posthorn.url}${SCHEDULES}`);
  await expect(page.getByRole('row', { name: /Every minute/ })).toContainText('Paused');
  await accessible(page);
});

test('no cell of any file begins a formula, and every script is read back', async () => {
  await canSend();
  const id = await client.add('/schedules', schedule('All', { formats: ['csv', 'pdf', 'html'], recipients: ['all@example.org'] }));
  expect((await runNow(id)).outcome).toBe('sent');
  const [mail] = smtp.to('all@example.org');
  const cells = mail.attachments[0].cells!.flat();
  expect(cells.filter((it) => /^[=+\-@\t\r]/.test(it))).toEqual([]);
  expect(cells).toContain("'=cmd|calc");
  const text = (await pdfText(mail.attachments[1].path)).normalize('NFKC');
  for (const name of ['=cmd|calc', 'São Paulo', 'Почта', 'بريد']) expect(text).toContain(name);
  const folder = mkdtempSync(join(tmpdir(), 'posthorn-pdf-'));
  await run('pdftoppm', ['-r', '50', '-png', mail.attachments[1].path, join(folder, 'page')]);
  rmSync(folder, { recursive: true });
});

test('a report that follows changes is silent until something changes', async () => {
  await canSend();
  const id = await client.add('/schedules', schedule('Changes', {
    filter: { name: 'bill' }, only_when_changed: true, formats: ['csv', 'html'], language: 'pt-BR', recipients: ['changes@example.org'],
  }));
  expect((await runNow(id)).outcome).toBe('sent');
  expect((await runNow(id)).outcome).toBe('unchanged');
  expect(smtp.to('changes@example.org')).toHaveLength(1);
  const { items } = (await client.call('GET', '/accounts?name=bills')).json;
  const bills = (await client.call('GET', `/accounts/${items.find((it: any) => it.name === 'Bills').id}`)).json;
  const changed = await client.call('PUT', `/accounts/${bills.id}`, { ...bills, port: 2143, grant_credential: true });
  expect(changed.status).toBe(200);
  expect(await runNow(id)).toMatchObject({ outcome: 'sent', changes: 1 });
  const [, mail] = smtp.to('changes@example.org');
  expect(mail.headers.subject).toBe('Changes: 1 alteração');
  const [head, ...rows] = mail.attachments[0].cells!;
  expect(head.at(-1)).toBe('Alteração');
  expect(rows.find((it) => it[1] === 'Bills')!.at(-1)).toBe('Alterada: Porta');
  expect(mail.html).toContain('<strong><bdi>2143</bdi></strong>');
});

test('a schedule is made without script, with its next runs before it is saved', async ({ browser }) => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await signIn(page, posthorn.url, 'ana');
  await page.goto(`${posthorn.url}${SCHEDULES}/new?status=enabled`);
  await page.getByLabel('Name', { exact: true }).fill('Last day');
  await page.getByLabel('Recurrence').selectOption('monthly');
  await page.getByLabel('Day of the month').selectOption('last');
  await page.getByLabel('Time', { exact: true }).fill('06:30');
  await page.getByRole('button', { name: 'Show next runs' }).click();
  await expect(page.locator('.next-runs li')).toHaveCount(3);
  await expect(page.locator('.next-runs li').first()).toContainText('06:30 UTC');
  await expect(page.getByLabel('Name', { exact: true })).toHaveValue('Last day');
  await page.getByRole('button', { name: 'Save schedule' }).click();
  await expect(page.getByRole('alert')).toContainText('Enter or choose: Recipients');
  await expect(page.getByLabel('Day of the month')).toHaveValue('last');
  await page.getByLabel('Recipients').fill('ana@example.org');
  await page.getByRole('button', { name: 'Save schedule' }).click();
  await expect(page.getByRole('main')).toContainText('Monthly on the last day at 06:30, UTC');
  await page.getByRole('button', { name: 'Run now' }).click();
  await expect(page.getByText('The report is being made.')).toBeVisible();
  await context.close();
});

test('what is printed is whole, in words, and opens the print dialog', async ({ page }) => {
  await page.addInitScript(() => { (window as any).printed = 0; window.print = () => { (window as any).printed += 1; }; });
  await page.goto(`${posthorn.url}${REPORT}/print?name=bill&sort=-port`);
  await expect.poll(() => page.evaluate(() => (window as any).printed)).toBe(1);
  await expect(page.locator('body')).toContainText('Name: bill');
  const folder = mkdtempSync(join(tmpdir(), 'posthorn-print-'));
  const file = join(folder, 'print.pdf');
  for (const format of ['A4', 'Letter'] as const) {
    writeFileSync(file, await page.pdf({ format, landscape: true, preferCSSPageSize: false }));
    const text = await pdfText(file);
    for (const expected of ['Bills', 'Sorted by Port, descending', 'UTC by ana']) expect(text).toContain(expected);
  }
  rmSync(folder, { recursive: true });
});

test('the exported CSV is what another reader expects', async () => {
  const script = 'import csv,io,sys; t=sys.stdin.read(); print(len(list(csv.reader(io.StringIO(t, newline="")))))';
  const cookie = await fetch(`${posthorn.url}/sign-in`, {
    method: 'POST', redirect: 'manual', body: new URLSearchParams({ name: 'ana', password: 'correct horse battery' }),
  });
  const headers = { cookie: cookie.headers.getSetCookie().map((it) => it.split(';')[0]).join('; ') };
  const text = await (await fetch(`${posthorn.url}${REPORT}/export.csv`, { headers })).text();
  const rows = Number(await run('/usr/bin/python3', ['-c', script], text));
  expect(rows).toBe((await client.call('GET', '/accounts')).json.total + 1);
});
