// The way by agents: enrolled and approved in the browser, both protocols under every security, one of two killed in mid-fetch.
import { statSync } from 'node:fs';
import { Agent } from '../support/agent';
import { Dovecot } from '../support/dovecot';
import { type Client, Posthorn } from '../support/posthorn';
import { accessible, expect, hydrated, signIn, test } from '../support/test';

let dovecot: Dovecot;
let posthorn: Posthorn;
let client: Client;
let connector: number;
let allow: string;
const agents: Agent[] = [];

test.beforeAll(async () => {
  dovecot = await Dovecot.start();
  posthorn = await Posthorn.start();
  await posthorn.addUser('ana', 'administrator');
  client = await posthorn.client('ana');
  // Dovecot is on the agent's own machine: its range has to be named.
  allow = Object.values(dovecot.ports).map((port) => `127.0.0.0/8:${port}`).join(',');
  connector = await client.add('/connectors', { name: 'Plant', kind: 'agent' });
});
test.afterAll(async () => {
  for (const agent of agents) await agent.stop();
  await posthorn?.stop();
  await dovecot?.stop();
});

function agentNamed(name: string): Agent {
  const agent = new Agent(posthorn.url, name, allow);
  agents.push(agent);
  return agent;
}

const list = async (): Promise<any[]> => (await client.call('GET', `/connectors/${connector}/agents`)).json.items;
const check = async (id: number) => (await client.call('POST', `/accounts/${id}/check`)).json;
const connected = (name: string) => expect.poll(async () => (await list()).find((it) => it.name === name)?.connected_since).toBeTruthy();

/** Enrolled and approved by REST. */
async function enrolled(name: string): Promise<Agent> {
  const agent = agentNamed(name);
  const { code } = (await client.call('POST', `/connectors/${connector}/agents/code`)).json;
  const fingerprint = await agent.start(code);
  await expect.poll(async () => (await list()).map((it) => it.name)).toContain(name);
  const row = (await list()).find((it) => it.name === name);
  expect(row.fingerprint).toBe(fingerprint);
  const answer = await client.call('POST', `/connectors/${connector}/agents/${row.id}/approve`, { version: row.version });
  expect(answer.status, answer.text).toBe(204);
  await connected(name);
  return agent;
}

/** An account by the agents; its user is its name. */
async function account(user: string, more: object = {}): Promise<number> {
  const credential = await client.add('/credentials', { name: user, username: user, secret: 'pass' });
  return client.add('/accounts', {
    name: user, address: 'localhost', protocol: 'imap', port: dovecot.ports.imap, secure_connection: false, credential_id: credential,
    automatic_check: false, use_network_connector: true, network_connector_id: connector, ...more,
  });
}

test('a connector without address is entered, and an agent enrolled and approved, in the browser', async ({ page }) => {
  await signIn(page, posthorn.url, 'ana');
  await page.goto(`${posthorn.url}/settings/connectors/new`);
  await hydrated(page);
  await page.getByLabel('Name', { exact: true }).fill('By hand');
  await expect(page.getByLabel('Address', { exact: true })).toBeVisible();
  await page.getByLabel('Type').selectOption('Agent');
  for (const label of ['Address', 'Port', 'Credential for authentication']) {
    await expect(page.getByLabel(label, { exact: true })).toBeHidden();
  }
  await accessible(page);
  await page.getByRole('button', { name: 'Save connector' }).click();
  await page.getByRole('row', { name: /By hand/ }).getByRole('link', { name: 'Edit connector' }).click();
  await page.getByRole('link', { name: 'Agents' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Agents');
  const main = page.getByRole('main');
  await expect(main).toContainText('No agents yet');
  await accessible(page);
  await page.getByRole('button', { name: 'Make an enrolment code' }).click();
  await expect(main).toContainText('It is shown this once');
  const code = /[A-Z2-9]{4}(?:-[A-Z2-9]{4}){3}/.exec(await main.innerText())?.[0];
  await accessible(page);
  const agent = agentNamed('by-hand');
  const fingerprint = await agent.start(code);
  expect(statSync(agent.tokenFile).mode & 0o777).toBe(0o600);
  await page.getByRole('link', { name: 'Go on to the agents' }).click();
  // It comes by itself.
  const row = page.getByRole('row', { name: /by-hand/ });
  await expect(row).toContainText('Waiting for approval');
  await expect(row).toContainText(fingerprint);
  await accessible(page);
  await row.getByRole('button', { name: 'Approve' }).click();
  await expect(page.getByText('The agent was approved.')).toBeVisible();
  await expect(row).toContainText(/Connected/);
  await page.getByRole('row', { name: /by-hand/ }).getByRole('button', { name: 'Remove' }).click();
  await expect(page.getByText('The agent was removed.')).toBeVisible();
  await expect(main).toContainText('No agents yet');
  await expect.poll(() => agent.log()).toContain('does not know this key');
  await page.goto(`${posthorn.url}/settings/audit`);
  for (const words of ['Code for an agent made', 'Agent enrolled', 'Agent approved', 'Agent removed']) {
    await expect(page.getByRole('row', { name: new RegExp(words) })).toHaveCount(1);
  }
});

test('without an agent the connector is to blame', async () => {
  const run = await check(await account('nobody'));
  expect([run.outcome, run.error.kind]).toEqual(['failed', 'connector']);
  expect(run.error.message).toContain('no agent of this connector is connected');
});

test('mail arrives by an agent, by either protocol, under every security', async () => {
  await enrolled('first');
  for (const protocol of ['imap', 'pop3'] as const) {
    for (const security of ['ssl', 'tls', 'plain'] as const) {
      const user = `${protocol}-${security}-by-agent`;
      dovecot.deliver(user, `Subject: ${user}\r\n\r\nHello\r\n`);
      const id = await account(user, {
        protocol, port: dovecot.ports[security === 'ssl' ? `${protocol}s` : protocol], secure_connection: security !== 'plain',
        secure_connection_type: security === 'plain' ? null : security, skip_certificate: security !== 'plain',
      });
      const run = await check(id);
      expect([user, run.outcome, run.new_messages, run.error]).toEqual([user, 'ok', 1, null]);
      expect(run.stages.find((it: any) => it.stage === 'connector').detail).toContain('agent first to localhost');
    }
  }
});

test('what the agent does not allow is told on both sides', async () => {
  const agent = agents.find((it) => it.name === 'first');
  const tested = (await client.call('POST', `/connectors/${connector}/test`, { address: '127.0.0.1', port: 1 })).json;
  expect(tested.error.kind).toBe('connector');
  expect(tested.error.message).toContain('may not go there');
  await expect.poll(() => agent?.log()).toMatch(/may not go there.*host="127\.0\.0\.1" port=1/);
});

test('an agent that is killed while mail is fetched costs no message: the other one goes on', async () => {
  const second = await enrolled('second');
  const n = 400;
  for (let nth = 0; nth < n; nth += 1) dovecot.deliver('cut', `Subject: number ${nth}\r\n\r\n${'x'.repeat(200_000)}\r\n`);
  const id = await account('cut', { keep_copy: false });
  const total = async () => (await client.call('GET', `/accounts/${id}/messages`)).json.total;
  const running = check(id);
  await expect.poll(total, { intervals: [10] }).toBeGreaterThan(0);
  // Whichever carries it.
  const carrier = (await list()).find((it) => it.streams > 0).name;
  const killed = agents.find((it) => it.name === carrier);
  await killed?.kill();
  const cut = await running;
  expect([cut.outcome, await total() < n]).toEqual(['partial', true]);
  const again = await check(id);
  expect([again.outcome, again.error]).toEqual(['ok', null]);
  const other = carrier === 'first' ? 'second' : 'first';
  expect(again.stages.find((it: any) => it.stage === 'connector').detail).toContain(`agent ${other} to`);
  expect([await total(), dovecot.messages('cut').length]).toEqual([n, 0]);
  const numbers = new Set<string>();
  for (let page = 1; page <= n / 50; page += 1) {
    const { items } = (await client.call('GET', `/accounts/${id}/messages?page=${page}`)).json;
    items.forEach((it: any) => numbers.add(it.subject));
  }
  expect(numbers.size).toBe(n);
  // It comes back with the key that it has.
  await killed?.start();
  await connected(carrier);
  expect(second.tokenFile).toBeTruthy();
});

test('a server that is killed while agents carry mail finds them again, and no message is lost or comes twice', async () => {
  test.setTimeout(150_000);
  const n = 400;
  for (let nth = 0; nth < n; nth += 1) dovecot.deliver('crash', `Subject: number ${nth}\r\n\r\n${'x'.repeat(200_000)}\r\n`);
  const id = await account('crash', { keep_copy: false });
  const total = async () => (await client.call('GET', `/accounts/${id}/messages`)).json.total;
  const running = check(id).catch(() => 'cut');
  await expect.poll(total, { intervals: [10] }).toBeGreaterThan(0);
  await posthorn.crash();
  expect(await running).toBe('cut');
  expect(await total()).toBeLessThan(n);
  for (const name of ['first', 'second']) await connected(name);
  // Whoever asks joins the check that was cut, until its lease of a minute is over.
  const lost = await check(id);
  expect([lost.outcome, lost.error.message]).toEqual(['failed', 'the instance that ran this check went away']);
  const again = await check(id);
  expect([again.outcome, again.error]).toEqual(['ok', null]);
  expect([await total(), dovecot.messages('crash').length]).toEqual([n, 0]);
  const numbers = new Set<string>();
  for (let page = 1; page <= n / 50; page += 1) {
    const { items } = (await client.call('GET', `/accounts/${id}/messages?page=${page}`)).json;
    items.forEach((it: any) => numbers.add(it.subject));
  }
  expect(numbers.size).toBe(n);
});

test('an agent that is told to stop does so cleanly, and the report of its connector stays', async () => {
  const second = agents.find((it) => it.name === 'second');
  expect(await second?.stop()).toBe(0);
  await expect.poll(async () => (await list()).find((it) => it.name === 'second').connected_since).toBeNull();
  const document = JSON.parse(await posthorn.command(['export']));
  const plant = document.connectors.find((it: any) => it.name === 'Plant');
  expect([plant.kind, plant.address, plant.credential]).toEqual(['agent', '', null]);
});
