// The way through connectors: both protocols, every security, both kinds of proxy, with and without a password.
import { Dovecot } from '../support/dovecot';
import { type Client, Posthorn } from '../support/posthorn';
import { Proxy, PROXY_PASSWORD, PROXY_USER } from '../support/proxy';
import { expect, hydrated, signIn, test } from '../support/test';

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
