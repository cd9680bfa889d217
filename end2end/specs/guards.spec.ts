// What stands around every page: who is let in, what a page may load, what another site may send.
import { Posthorn } from '../support/posthorn';
import { expect, signIn, test } from '../support/test';

let posthorn: Posthorn;

test.beforeAll(async () => {
  posthorn = await Posthorn.start();
  await posthorn.addUser('ana', 'administrator');
});
test.afterAll(() => posthorn?.stop());

test('nothing answers without a session or a token', async ({ request }) => {
  for (const name of ['accounts/list', 'accounts/form', 'credentials/load',
    'connectors/load', 'parts/load', 'inbox/list', 'inbox/open', 'inbox/source', 'inbox/checks', 'inbox/check']) {
    expect([name, (await request.post(`${posthorn.url}/api/${name}`, { data: {} })).status()]).toEqual([name, 401]);
  }
  for (const path of ['accounts', 'accounts/1', 'accounts/1/checks', 'accounts/1/messages', 'messages/1', 'messages/1/raw',
    'messages/1/attachments/0', 'credentials', 'credentials/1', 'connectors', 'connectors/1']) {
    const answer = await request.get(`${posthorn.url}/api/v1/${path}`);
    expect([path, answer.status(), answer.headers()['content-type']]).toEqual([path, 401, 'application/problem+json']);
  }
  for (const path of ['save/new', 'save/1', 'delete/1', 'restore/1', 'delete-older/1', '1/check']) {
    expect([path, (await request.post(`${posthorn.url}/settings/email/imap-pop3/${path}`)).status()]).toEqual([path, 401]);
  }
  for (const path of ['export.csv', 'print', '1/inbox/messages/1/html', '1/inbox/messages/1/raw']) {
    const answer = await request.get(`${posthorn.url}/settings/email/imap-pop3/${path}`, { maxRedirects: 0 });
    expect([path, answer.status()]).toEqual([path, 303]);
  }
  expect((await request.get(`${posthorn.url}/metrics`)).status()).toBe(401);
});

test('another site cannot post a form', async ({ page }) => {
  await signIn(page, posthorn.url, 'ana');
  const answer = await page.request.post(`${posthorn.url}/settings/credentials/save/new`, {
    form: { name: 'x', username: 'x', secret: 'x' },
    headers: { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' },
  });
  expect(answer.status()).toBe(403);
});

test('a page runs only the scripts that carry its nonce, and cannot be framed', async ({ request }) => {
  const answer = await request.get(`${posthorn.url}/sign-in`);
  const policy = answer.headers()['content-security-policy'];
  const nonce = /'nonce-([^']+)'/.exec(policy)?.[1];
  expect(policy).toContain("frame-ancestors 'none'");
  expect(policy).not.toContain('unsafe-inline');
  const scripts = [...(await answer.text()).matchAll(/<script[^>]*>/g)].map((it) => it[0]);
  expect(scripts.length).toBeGreaterThan(0);
  for (const script of scripts) expect(script).toContain(`nonce="${nonce}"`);
  expect(answer.headers()['x-content-type-options']).toBe('nosniff');
});

test('attempts are limited and do not tell who exists', async ({ request }) => {
  const attempt = (name: string) => request.post(`${posthorn.url}/sign-in`, { form: { name, password: 'wrong password', return: '' } });
  const [known, unknown] = [await attempt('ana'), await attempt('nobody')];
  expect([known.status(), unknown.status()]).toEqual([422, 422]);
  for (let n = 0; n < 8; n += 1) await attempt('mallory');
  expect((await attempt('mallory')).status()).toBe(429);
});
