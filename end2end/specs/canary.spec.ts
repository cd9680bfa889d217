// A password that occurs nowhere else is looked for wherever a secret could have gone.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Dovecot } from '../support/dovecot';
import { type Client, Posthorn } from '../support/posthorn';
import { expect, hydrated, signIn, test } from '../support/test';

const CANARY = 'Canary-7f3a9c+Zq/41=x';
const USER = 'somebody';
const MAIL = 'From: ana@example.org\nTo: somebody@localhost\nSubject: Good morning\nMessage-ID: <1@example.org>\n\nHello\n';
const REPORT = '/settings/email/imap-pop3';
let dovecot: Dovecot;
let posthorn: Posthorn;
let client: Client;
let account: number;
let credential: number;
/** Where it was looked for, so that nothing is missed in silence. */
const looked = new Map<string, number>();

/** The password as it could stand there: as it is, in Base64 (alone, and as SASL PLAIN sends it), escaped, in hexadecimal. */
const forms = (): string[] => {
  const base64 = (text: string) => Buffer.from(text).toString('base64').replace(/=+$/, '');
  return [CANARY, base64(CANARY), base64(`\0${USER}\0${CANARY}`), encodeURIComponent(CANARY), Buffer.from(CANARY).toString('hex')];
};

function clean(where: string, content: Buffer | string): void {
  const bytes = Buffer.from(content as string);
  looked.set(where, (looked.get(where) ?? 0) + bytes.length);
  for (const form of forms()) expect(bytes.includes(form), `${where} holds the password as ${form}`).toBe(false);
}

test.beforeAll(async () => {
  dovecot = await Dovecot.start(undefined, { password: CANARY });
  dovecot.deliver(USER, MAIL);
  posthorn = await Posthorn.start({ RUST_LOG: 'trace', POSTHORN_PUBLIC_URL: undefined });
  await posthorn.addUser('ana', 'administrator');
  client = await posthorn.client('ana');
});
test.afterAll(async () => {
  await posthorn?.stop();
  await dovecot?.stop();
});

test('it is entered, used, refused, tested and changed', async ({ page }) => {
  await signIn(page, posthorn.url, 'ana');
  await page.goto(`${posthorn.url}/settings/credentials/new`);
  await hydrated(page);
  await page.getByLabel('Name', { exact: true }).fill('mailbox');
  await page.getByLabel('User name').fill(USER);
  await page.getByLabel('Password').fill(CANARY);
  await page.getByRole('button', { name: 'Save credential' }).click();
  await expect(page.getByRole('status').first()).toContainText('The credential was saved.');
  credential = (await client.call('GET', '/credentials')).json.items[0].id;
  const add = (name: string, more: object) => client.add('/accounts', {
    name, address: 'localhost', protocol: 'imap', port: dovecot.ports.imaps, credential_id: credential, automatic_check: false,
    secure_connection_type: 'ssl', skip_certificate: true, ...more,
  });
  account = await add('imap', {});
  const others = [
    await add('pop3', { protocol: 'pop3', port: dovecot.ports.pop3s }),
    await add('in clear', { secure_connection: false, skip_certificate: false, port: dovecot.ports.imap }),
  ];
  for (const id of [account, ...others]) {
    const run = (await client.call('POST', `/accounts/${id}/check?transcript=true`)).json;
    expect(run.outcome, JSON.stringify(run)).toBe('ok');
    expect((await client.call('POST', `/accounts/${id}/test`)).status).toBe(200);
  }
  // Refused as another user's, which the error has to tell without it.
  await client.add('/credentials', { name: 'wrong', username: USER, secret: `${CANARY}!` });
  const { json: stored } = await client.call('GET', '/credentials');
  const wrong = stored.items.find((it: any) => it.name === 'wrong').id;
  const refused = await add('refused', { credential_id: wrong });
  expect((await client.call('POST', `/accounts/${refused}/check?transcript=true`)).json.error.kind).toBe('authentication');
  // And a form that comes back with problems, without script and with.
  const back = await page.request.post(`${posthorn.url}/settings/credentials/save/new`, {
    form: { name: '', username: USER, secret: CANARY }, headers: { origin: posthorn.url },
  });
  expect(back.status()).toBe(422);
  clean('a form that came back', await back.body());
});

test('it is in no answer, page, metric or transcript', async ({ page }) => {
  const runs = (await client.call('GET', `/accounts/${account}/checks`)).json.items;
  const paths = ['/accounts', `/accounts/${account}`, `/accounts/${account}/checks`, `/accounts/${account}/tests`, '/credentials',
    `/credentials/${credential}`, '/connectors', '/overview', '/posture', '/schedules', '/smtp'];
  for (const path of paths) {
    const answer = await client.call('GET', path);
    expect(answer.status, path).toBe(200);
    clean('answers', answer.text);
  }
  await signIn(page, posthorn.url, 'ana');
  const metrics = await client.metrics();
  expect(metrics).toContain('posthorn_');
  clean('metrics', metrics);
  clean('export', await posthorn.command(['export']));
  for (const path of [REPORT, `${REPORT}/${account}`, `${REPORT}/${account}/inbox`, `${REPORT}/${account}/test`, `${REPORT}/print`,
    `${REPORT}/${account}/checks/${runs[0].id}/transcript`, '/settings/credentials', `/settings/credentials/${credential}`,
    `/settings/credentials/rotate/${credential}`, '/settings/audit', '/settings/email/checks', '/settings/posture']) {
    const response = await page.goto(posthorn.url + path);
    expect(response?.status(), path).toBe(200);
    clean('pages', await page.content());
  }
  expect(looked.get('pages')).toBeGreaterThan(50_000);
});

test('a fresh browser has it neither in its page nor in the memory of its WebAssembly', async ({ page }) => {
  // Every memory that WebAssembly makes is kept in view.
  await page.addInitScript(() => {
    const found: WebAssembly.Memory[] = [];
    Object.assign(window, { memories: found });
    const note = (it: WebAssembly.WebAssemblyInstantiatedSource | WebAssembly.Instance) => {
      const { exports } = it instanceof WebAssembly.Instance ? it : it.instance;
      if (exports.memory instanceof WebAssembly.Memory) found.push(exports.memory);
      return it;
    };
    for (const name of ['instantiate', 'instantiateStreaming'] as const) {
      const before = WebAssembly[name] as (...it: unknown[]) => Promise<any>;
      Object.assign(WebAssembly, { [name]: (...it: unknown[]) => before.apply(WebAssembly, it).then(note) });
    }
  });
  await signIn(page, posthorn.url, 'ana');
  for (const path of [`/settings/credentials/${credential}`, `${REPORT}/${account}`, `${REPORT}/${account}/inbox`]) {
    await page.goto(posthorn.url + path);
    await hydrated(page);
    clean('the page', await page.evaluate(() => document.documentElement.outerHTML
      + [...document.querySelectorAll('input')].map((it) => it.value).join('\n')));
    const memory = await page.evaluate((wanted) => {
      const { memories } = window as unknown as { memories: WebAssembly.Memory[] };
      const texts = memories.map((it) => new TextDecoder('latin1').decode(it.buffer));
      return { length: texts.join('').length, held: wanted.filter((form) => texts.some((it) => it.includes(form))) };
    }, [...forms(), 'mailbox']);
    // What the page does show is there, so the search finds what there is.
    expect(memory.length).toBeGreaterThan(1_000_000);
    expect(memory.held).toEqual(['mailbox']);
  }
});

test('it is in no log at the finest level, and in no file of the data', async () => {
  expect(posthorn.log).toContain('TRACE');
  clean('logs', posthorn.log);
  const files = readdirSync(posthorn.folder, { recursive: true, withFileTypes: true }).filter((it) => it.isFile());
  expect(files.map((it) => it.name)).toContain('posthorn.db');
  for (const file of files) clean('files', readFileSync(join(file.parentPath, file.name)));
});
