// The way through connectors: both protocols, every security, both kinds of proxy, with and without a password; SSH jump hosts.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Dovecot } from '../support/dovecot';
import { type Client, Posthorn } from '../support/posthorn';
import { Proxy, PROXY_PASSWORD, PROXY_USER } from '../support/proxy';
import { CAN_ADD_USERS, Sshd } from '../support/sshd';
import { accessible, expect, hydrated, signIn, test } from '../support/test';

let dovecot: Dovecot;
let posthorn: Posthorn;
let client: Client;
const proxies: Proxy[] = [];
const connectors: { name: string; id: number }[] = [];

test.beforeAll(async () => {
  dovecot = await Dovecot.start();
  posthorn = await Posthorn.start();
  await posthorn.addUser('ana', 'administrator');
  client = await posthorn.client('ana');
  const login = await client.add('/credentials', { name: 'proxy login', username: PROXY_USER, secret: PROXY_PASSWORD });
  for (const kind of ['socks5', 'http_connect'] as const) {
    for (const withPassword of [false, true]) {
      const proxy = await Proxy.start(kind, withPassword);
      proxies.push(proxy);
      const name = `${kind}${withPassword ? ' with password' : ''}`;
      const connector = { name, kind, address: '127.0.0.1', port: proxy.port, credential_id: withPassword ? login : null };
      connectors.push({ name, id: await client.add('/connectors', connector) });
    }
  }
});
test.afterAll(async () => {
  await posthorn?.stop();
  proxies.forEach((it) => it.stop());
  await dovecot?.stop();
});

/** Kills what the account goes by while its mail is fetched, starts it again, and counts: no copy is kept on the server. */
async function costsNothing(id: number, user: string, way: { kill(): Promise<void>; run(): Promise<unknown> }): Promise<void> {
  const n = 400;
  for (let nth = 0; nth < n; nth += 1) dovecot.deliver(user, `Subject: number ${nth}\r\n\r\n${'x'.repeat(200_000)}\r\n`);
  const check = async () => (await client.call('POST', `/accounts/${id}/check`)).json;
  const total = async () => (await client.call('GET', `/accounts/${id}/messages`)).json.total;
  const running = check();
  await expect.poll(total, { intervals: [10] }).toBeGreaterThan(0);
  await way.kill();
  const cut = await running;
  expect([cut.outcome, await total() < n]).toEqual(['partial', true]);
  await way.run();
  const again = await check();
  expect([again.outcome, again.error]).toEqual(['ok', null]);
  expect([await total(), dovecot.messages(user).length]).toEqual([n, 0]);
  const numbers = new Set<string>();
  for (let page = 1; page <= n / 50; page += 1) {
    const { items } = (await client.call('GET', `/accounts/${id}/messages?page=${page}`)).json;
    items.forEach((it: any) => numbers.add(it.subject));
  }
  expect(numbers.size).toBe(n);
}

test('mail arrives through every connector, by either protocol, under every security', async () => {
  for (const connector of connectors) {
    for (const protocol of ['imap', 'pop3'] as const) {
      for (const security of ['ssl', 'tls', 'plain'] as const) {
        const name = `${protocol} ${security} by ${connector.name}`;
        const user = name.replaceAll(' ', '-').replaceAll('_', '-');
        dovecot.deliver(user, `Subject: ${name}\r\n\r\nHello\r\n`);
        const credential = await client.add('/credentials', { name, username: user, secret: 'pass' });
        const id = await client.add('/accounts', {
          name, address: 'localhost', protocol, credential_id: credential, automatic_check: false, skip_certificate: security !== 'plain',
          port: dovecot.ports[security === 'ssl' ? `${protocol}s` : protocol], secure_connection: security !== 'plain',
          secure_connection_type: security === 'plain' ? null : security, use_network_connector: true, network_connector_id: connector.id,
        });
        const run = (await client.call('POST', `/accounts/${id}/check`)).json;
        expect([name, run.outcome, run.new_messages, run.error]).toEqual([name, 'ok', 1, null]);
        expect(run.stages.map((it: any) => it.stage)).toContain('connector');
      }
    }
  }
});

for (const [nth, kind] of [[0, 'SOCKS5'], [2, 'HTTP CONNECT']] as const) {
  test(`a proxy for ${kind} that is killed while mail is fetched costs no message`, async () => {
    const user = `cut-${nth}`;
    const credential = await client.add('/credentials', { name: user, username: user, secret: 'pass' });
    const id = await client.add('/accounts', {
      name: user, address: 'localhost', protocol: 'imap', port: dovecot.ports.imaps, credential_id: credential, automatic_check: false,
      keep_copy: false, secure_connection_type: 'ssl', skip_certificate: true, use_network_connector: true,
      network_connector_id: connectors[nth].id,
    });
    await costsNothing(id, user, proxies[nth]);
  });
}

test('a proxy that refuses the password is named as what failed', async () => {
  const wrong = await client.add('/credentials', { name: 'wrong proxy login', username: PROXY_USER, secret: 'wrong' });
  for (const [nth, kind] of [[1, 'socks5'], [3, 'http_connect']] as const) {
    const connector = await client.add('/connectors', {
      name: `wrong ${kind}`, kind, address: '127.0.0.1', port: proxies[nth].port, credential_id: wrong,
    });
    const credential = await client.add('/credentials', { name: `mailbox ${kind}`, username: 'somebody', secret: 'mailbox-secret' });
    const id = await client.add('/accounts', {
      name: `behind ${kind}`, address: 'localhost', protocol: 'imap', port: dovecot.ports.imaps, credential_id: credential,
      automatic_check: false, use_network_connector: true, network_connector_id: connector,
    });
    const run = (await client.call('POST', `/accounts/${id}/check`)).json;
    expect([kind, run.outcome, run.error.kind]).toEqual([kind, 'failed', 'connector']);
    expect(JSON.stringify(run)).not.toContain('mailbox-secret');
  }
});

test('the dropdown is enabled by the switch, and a choice is kept while the switch is off', async ({ page }) => {
  await signIn(page, posthorn.url, 'ana');
  await page.goto(`${posthorn.url}/settings/email/imap-pop3/new`);
  await hydrated(page);
  const dropdown = page.getByLabel('Network Connector', { exact: true });
  const used = page.getByRole('group', { name: 'Use Network Connector' });
  await expect(dropdown).toBeDisabled();
  await used.getByLabel('Yes').check();
  await dropdown.selectOption({ label: 'socks5 (127.0.0.1)' });
  await used.getByLabel('No').check();
  await expect(dropdown).toBeDisabled();
  await used.getByLabel('Yes').check();
  await expect(dropdown).toHaveValue(`${connectors[0].id}`);
  dovecot.deliver('by-hand', 'Subject: Entered by hand\r\n\r\nHello\r\n');
  const credential = await client.add('/credentials', { name: 'by hand', username: 'by-hand', secret: 'pass' });
  await page.reload();
  await page.getByLabel('Account Name').fill('Behind the proxy');
  await page.getByLabel('Address').fill('localhost');
  await page.getByLabel('Port').fill(`${dovecot.ports.imaps}`);
  await page.getByLabel('Protocol').selectOption('IMAP');
  await page.getByRole('group', { name: 'Use Network Connector' }).getByLabel('Yes').check();
  await page.getByLabel('Network Connector', { exact: true }).selectOption(`${connectors[0].id}`);
  await page.getByLabel('Credential for authentication').selectOption(`${credential}`);
  await page.getByRole('group', { name: 'Skip certificate' }).getByLabel('Yes').check();
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('row', { name: /Behind the proxy/ }).getByRole('link', { name: 'View inbox' }).click();
  await page.getByRole('button', { name: 'Check now' }).click();
  await expect(page.getByRole('main')).toContainText('Entered by hand');
  await expect(page.getByRole('main')).toContainText('SOCKS5 to localhost');
});

test.describe('by SSH', () => {
  let sshd: Sshd;
  let byKey: number;

  test.beforeAll(async () => {
    sshd = await Sshd.start();
    byKey = await jump('jump by key', sshd.byKey);
  });
  test.afterAll(async () => {
    await sshd?.stop();
  });

  async function jump(name: string, login: { username: string; secret: string }): Promise<number> {
    const credential = await client.add('/credentials', { name: `${name} login`, ...login });
    return client.add('/connectors', { name, kind: 'ssh', address: '127.0.0.1', port: sshd.port, credential_id: credential });
  }

  /** An account behind a jump host; its user is its name. */
  async function behind(connector: number, user: string, more: object = {}): Promise<number> {
    const credential = await client.add('/credentials', { name: user, username: user, secret: 'pass' });
    return client.add('/accounts', {
      name: user, address: 'localhost', protocol: 'imap', port: dovecot.ports.imap, secure_connection: false, credential_id: credential,
      automatic_check: false, use_network_connector: true, network_connector_id: connector, ...more,
    });
  }

  const check = async (id: number) => (await client.call('POST', `/accounts/${id}/check`)).json;

  async function approve(id: number): Promise<void> {
    const { version } = (await client.call('GET', `/connectors/${id}`)).json;
    const answer = await client.call('POST', `/connectors/${id}/host-key`, { version, host_key: await sshd.fingerprint() });
    expect(answer.status, answer.text).toBe(200);
  }

  test('an unknown host key blocks until it is approved in the browser, and so does a changed one', async ({ page }) => {
    dovecot.deliver('jumper', 'Subject: By SSH\r\n\r\nHello\r\n');
    const account = await behind(byKey, 'jumper');
    const first = await sshd.fingerprint();
    let run = await check(account);
    expect([run.outcome, run.error.kind]).toEqual(['failed', 'connector']);
    expect(run.error.message).toContain(first);

    await signIn(page, posthorn.url, 'ana');
    await page.goto(`${posthorn.url}/settings/connectors`);
    const row = page.getByRole('row', { name: /jump by key/ });
    await expect(row).toContainText(/Failed .*nobody has approved/);
    await row.getByRole('link', { name: 'Test connector' }).click();
    await hydrated(page);
    await page.getByRole('button', { name: 'Test', exact: true }).click();
    const main = page.getByRole('main');
    await expect(main).toContainText(`Behind the connector: localhost port ${dovecot.ports.imap}`);
    await expect(main.getByText(first, { exact: true })).toBeVisible();
    await accessible(page);
    await page.getByRole('button', { name: 'Approve this host key' }).click();
    await expect(main).toContainText('The host key was approved.');
    await page.getByRole('button', { name: 'Test', exact: true }).click();
    await expect(main).toContainText('The connector works.');
    await expect(main).toContainText('* OK');
    run = await check(account);
    expect([run.outcome, run.new_messages, run.error]).toEqual(['ok', 1, null]);

    await sshd.kill();
    await sshd.renewHostKey();
    await sshd.run();
    const second = await sshd.fingerprint();
    for (let time = 0; time < 2; time += 1) {
      run = await check(account);
      expect([run.outcome, run.error.kind]).toEqual(['failed', 'connector']);
      expect(run.error.message).toContain(`${second} instead of ${first}`);
    }
    await page.goto(`${posthorn.url}/settings/connectors/${byKey}/test`);
    await hydrated(page);
    await page.getByRole('button', { name: 'Test', exact: true }).click();
    await expect(main).toContainText('another host key than the approved one');
    await page.getByRole('button', { name: 'Approve this host key' }).click();
    await expect(main).toContainText('The host key was approved.');
    run = await check(account);
    expect([run.outcome, run.error]).toEqual(['ok', null]);
    await page.goto(`${posthorn.url}/settings/connectors/${byKey}`);
    await expect(main).toContainText(`Approved: ${second}`);
    await expect(main).toContainText(/Reached/);
    await accessible(page);
    await page.goto(`${posthorn.url}/settings/audit`);
    await expect(page.getByRole('row', { name: /SSH host key approved/ })).toHaveCount(2);
  });

  for (const way of ['key', 'password'] as const) {
    test(`mail arrives by either protocol, under every security, with a ${way}`, async () => {
      test.skip(way === 'password' && !CAN_ADD_USERS, 'only root can add a user with a password');
      const connector = way === 'key' ? byKey : await jump('jump by password', sshd.byPassword);
      await approve(connector);
      for (const protocol of ['imap', 'pop3'] as const) {
        for (const security of ['ssl', 'tls', 'plain'] as const) {
          const user = `${protocol}-${security}-by-ssh-${way}`;
          dovecot.deliver(user, `Subject: ${user}\r\n\r\nHello\r\n`);
          const id = await behind(connector, user, {
            protocol, port: dovecot.ports[security === 'ssl' ? `${protocol}s` : protocol], secure_connection: security !== 'plain',
            secure_connection_type: security === 'plain' ? null : security, skip_certificate: security !== 'plain',
          });
          const run = await check(id);
          expect([user, run.outcome, run.new_messages, run.error]).toEqual([user, 'ok', 1, null]);
          expect(run.stages.find((it: any) => it.stage === 'connector').detail).toContain('SSH to localhost');
        }
      }
    });
  }

  test('a jump host that is killed while mail is fetched costs no message', async () => {
    await approve(byKey);
    await costsNothing(await behind(byKey, 'cut', { keep_copy: false }), 'cut', sshd);
  });

  test('an approved host key goes along with an export', async () => {
    await approve(byKey);
    const document = JSON.parse(await posthorn.command(['export']));
    document.accounts = [];
    document.connectors = document.connectors.filter((it: any) => it.name === 'jump by key');
    document.credentials = document.credentials.filter((it: any) => it.name === 'jump by key login');
    document.credentials[0].secret = sshd.byKey.secret;
    const [folder, other] = [mkdtempSync(join(tmpdir(), 'posthorn-')), await Posthorn.start()];
    const file = join(folder, 'export.json');
    writeFileSync(file, JSON.stringify(document));
    expect(await other.command(['import', file])).toBe('2 added, 0 changed\n');
    const [connector] = JSON.parse(await other.command(['export'])).connectors;
    expect([connector.kind, connector.host_key]).toEqual(['ssh', await sshd.fingerprint()]);
    await other.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test('a key goes to no mail server, and a wrong one is told without it', async () => {
    const stranger = await client.add('/credentials', { name: 'key as password', ...sshd.byKey });
    const direct = await client.add('/accounts', {
      name: 'with a key', address: 'localhost', protocol: 'imap', port: dovecot.ports.imap, secure_connection: false,
      credential_id: stranger, automatic_check: false,
    });
    const run = await check(direct);
    expect([run.outcome, run.error.kind]).toEqual(['failed', 'authentication']);
    expect(run.error.message).toContain('private key');
    expect(JSON.stringify(run)).not.toContain('OPENSSH');
  });
});

test('a proxy is tested alone and to its first account, and its report says how it did', async ({ page }) => {
  const { id } = connectors[0];
  const answer = (await client.call('POST', `/connectors/${id}/test`, { address: 'localhost', port: dovecot.ports.imap })).json;
  expect([answer.error, answer.host_key, answer.needs_approval]).toEqual([null, null, false]);
  expect(answer.stages.at(-1)).toMatchObject({ stage: 'greeting', ok: true });
  const closed = (await client.call('POST', `/connectors/${id}/test`, { address: 'localhost', port: 1 })).json;
  expect(closed.error.kind).toBe('connector');
  expect((await client.call('POST', `/connectors/${id}/test`, { address: 'not an address' })).status).toBe(422);
  await signIn(page, posthorn.url, 'ana');
  await page.goto(`${posthorn.url}/settings/connectors`);
  await expect(page.getByRole('row', { name: /^\d+ socks5 SOCKS5/ })).toContainText(/Reached|Failed/);
  await accessible(page);
});

test('without script a connector is tested and a private key is entered all the same', async ({ browser }) => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await signIn(page, posthorn.url, 'ana');
  await page.goto(`${posthorn.url}/settings/connectors/${connectors[2].id}/test`);
  await page.getByLabel('Server address').fill('localhost');
  await page.getByRole('button', { name: 'Test', exact: true }).click();
  await expect(page.getByRole('main')).toContainText('Enter');
  await page.getByLabel('Server port').fill(`${dovecot.ports.pop3}`);
  await page.getByRole('button', { name: 'Test', exact: true }).click();
  await expect(page.getByRole('main')).toContainText('The connector works.');
  await page.goto(`${posthorn.url}/settings/credentials/new`);
  await page.getByLabel('Name', { exact: true }).fill('pasted key');
  await page.getByLabel('User name').fill('jump');
  await page.getByText('Private key instead of a password').click();
  await page.getByLabel('Private key', { exact: true }).fill('not a key');
  await page.getByRole('button', { name: 'Save credential' }).click();
  await expect(page.getByRole('main')).toContainText('must be as OpenSSH writes it');
  await expect(page.getByLabel('Private key', { exact: true })).toHaveValue('');
  await page.getByLabel('Private key', { exact: true }).fill(
    '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjE=\n-----END OPENSSH PRIVATE KEY-----\n');
  await page.getByRole('button', { name: 'Save credential' }).click();
  await expect(page.getByRole('main')).toContainText('The credential was saved.');
  await context.close();
});
