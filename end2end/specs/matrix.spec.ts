// The whole way to the server: either protocol, every security, by every way, to a Dovecot that nobody but its connector reaches.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent } from '../support/agent';
import { Authority } from '../support/authority';
import { Dovecot } from '../support/dovecot';
import { Front } from '../support/front';
import { CAN_MAKE_NETWORKS, ClosedNetwork, INNER_NAME } from '../support/network';
import { type Client, Posthorn } from '../support/posthorn';
import { Proxy, PROXY_PASSWORD, PROXY_USER } from '../support/proxy';
import { Sshd } from '../support/sshd';
import { expect, hydrated, signIn, test } from '../support/test';

test.skip(!CAN_MAKE_NETWORKS, 'only root can make a network namespace: the ways by connectors are not tried across networks');

const PROTOCOLS = ['imap', 'pop3'] as const;
const SECURITIES = ['ssl', 'tls', 'plain'] as const;
const WAYS = ['direct', 'socks5', 'http_connect', 'ssh', 'agent'] as const;
type Way = (typeof WAYS)[number];
const CONNECTORS = WAYS.filter((it) => it !== 'direct');
/** What the stage of the connector says of each. */
const LABELS = { socks5: 'SOCKS5', http_connect: 'HTTP CONNECT', ssh: 'SSH', agent: 'agent inside' };

const ended: (() => unknown)[] = [];
let network: ClosedNetwork;
let dovecot: Dovecot;
let posthorn: Posthorn;
let client: Client;
let authority: number;
let front: Front;
/** The options that make an agent trust the front. */
let trusting: string[];
const proxies = new Map<Way, Proxy>();
const connectors = new Map<Way, number>();

/** Kept until it is over, and then stopped in the other order, whatever became of the tests. */
function kept<T extends { stop(): unknown }>(it: T): T {
  ended.unshift(() => it.stop());
  return it;
}

test.beforeAll(async () => {
  network = kept(await ClosedNetwork.make());
  const ours = kept(await Authority.make('Of the closed network'));
  dovecot = kept(await Dovecot.start(await ours.issue(INNER_NAME, network.address), { place: network, inner: network.inner }));
  front = kept(await Front.start(network.from, await ours.issue(network.from)));
  // Nothing but the edge is reached on ports that are not mail's, where the connectors listen.
  posthorn = kept(await Posthorn.start({ POSTHORN_EGRESS_ALLOW: `${network.address}/32`, POSTHORN_AGENT_URL: front.url }));
  front.leadTo(posthorn.url);
  await posthorn.addUser('ana', 'administrator');
  client = await posthorn.client('ana');
  authority = await client.add('/authorities', { name: 'Of the closed network', pem: ours.certificate });

  const login = await client.add('/credentials', { name: 'proxy login', username: PROXY_USER, secret: PROXY_PASSWORD });
  for (const kind of ['socks5', 'http_connect'] as const) {
    proxies.set(kind, kept(await Proxy.start(kind, true, network)));
    await connector(kind, proxies.get(kind)!.port, login);
  }
  const sshd = kept(await Sshd.start(network));
  const id = await connector('ssh', sshd.port, await client.add('/credentials', { name: 'jump login', ...sshd.byKey }));
  const answer = await client.call('POST', `/connectors/${id}/host-key`, { version: 1, host_key: await sshd.fingerprint() });
  expect(answer.status, answer.text).toBe(200);
  const folder = mkdtempSync(join(tmpdir(), 'posthorn-'));
  kept({ stop: () => rmSync(folder, { recursive: true, force: true }) });
  writeFileSync(join(folder, 'ca.pem'), ours.certificate);
  trusting = ['--ca', join(folder, 'ca.pem')];
  const agents = await client.add('/connectors', { name: 'agent', kind: 'agent' });
  connectors.set('agent', agents);
  const agent = agentNamed('inside');
  await agent.start(await code(agents));
  await approved(agents);
});
test.afterAll(async () => {
  const failures: unknown[] = [];
  for (const end of ended) await Promise.resolve().then(end).catch((it) => failures.push(it));
  expect(failures).toEqual([]);
});

async function connector(kind: Way, port: number, credential: number): Promise<number> {
  const id = await client.add('/connectors', { name: kind, kind, address: network.address, port, credential_id: credential });
  connectors.set(kind, id);
  return id;
}

/** An agent that runs inside and dials out. */
function agentNamed(name: string): Agent {
  const mail = Object.values(dovecot.ports).map((port) => `${INNER_NAME}:${port}`);
  return kept(new Agent(front.url, name, [...mail, `${network.nobody}:${dovecot.ports.imap}`].join(','), network, trusting));
}

const code = async (id: number): Promise<string> => (await client.call('POST', `/connectors/${id}/agents/code`)).json.code;

/** Approves the connector's agent once it has come, and waits until it is connected. */
async function approved(id: number): Promise<void> {
  const row = async (): Promise<any> => (await client.call('GET', `/connectors/${id}/agents`)).json.items[0];
  await expect.poll(row).toBeTruthy();
  const { id: nth, version } = await row();
  expect((await client.call('POST', `/connectors/${id}/agents/${nth}/approve`, { version })).status).toBe(204);
  await expect.poll(async () => (await row()).connected_since).toBeTruthy();
}

/** An account with the standard port of its protocol and security; its user is its name. */
async function account(user: string, address: string, protocol: string, security: string, connector?: number): Promise<number> {
  const credential = await client.add('/credentials', { name: user, username: user, secret: 'pass' });
  const secure = security === 'plain' ? { secure_connection: false } : { secure_connection_type: security, trust: 'ca', ca_id: authority };
  return client.add('/accounts', {
    name: user, address, protocol, credential_id: credential, automatic_check: false, ...secure,
    use_network_connector: connector !== undefined, network_connector_id: connector ?? null,
  });
}

const check = async (id: number) => (await client.call('POST', `/accounts/${id}/check`)).json;

test('the server itself finds neither the name nor a way', async () => {
  for (const [address, kind] of [[INNER_NAME, 'resolve'], [network.inner, 'refused']]) {
    const run = await check(await account(`lost at ${address}`, address, 'imap', 'plain'));
    expect([address, run.outcome, run.error.kind]).toEqual([address, 'failed', kind]);
    if (kind === 'refused') expect(run.error.message).toContain('No route to host');
  }
});

const CELLS = WAYS.flatMap((way) => PROTOCOLS.flatMap((protocol) => SECURITIES.map((security) => ({ way, protocol, security }))));
const userOf = ({ way, protocol, security }: (typeof CELLS)[number]) => `${protocol}-${security}-${way}`.replace('_', '-');

for (const cell of CELLS) {
  const { way, protocol, security } = cell;
  test(`mail arrives by ${protocol}, ${security}, ${way}`, async () => {
    const user = userOf(cell);
    dovecot.deliver(user, `From: ${user}@example.org\r\nSubject: Came by ${user}\r\n\r\nHello\r\n`);
    const id = await account(user, way === 'direct' ? network.address : INNER_NAME, protocol, security, connectors.get(way));
    const run = await check(id);
    expect([run.outcome, run.new_messages, run.error]).toEqual(['ok', 1, null]);
    const stage = (name: string): any => run.stages.find((it: any) => it.stage === name);
    if (way === 'direct') expect(stage('connector')).toBeUndefined();
    else expect(stage('connector').detail).toContain(`${LABELS[way]} to ${INNER_NAME} port ${dovecot.ports[security === 'ssl' ? `${protocol}s` : protocol]}`);
    expect(stage('tls') === undefined).toBe(security === 'plain');
    const { items } = (await client.call('GET', `/accounts/${id}/messages`)).json;
    expect(items.map((it: any) => it.subject)).toEqual([`Came by ${user}`]);
  });
}

test('the report shows all of them in order, and each inbox its mail', async ({ page }) => {
  await signIn(page, posthorn.url, 'ana');
  await hydrated(page);
  const hrefs: string[] = [];
  for (const number of [1, 2]) {
    await page.goto(`${posthorn.url}/settings/email/imap-pop3?page=${number}`);
    for (const row of await page.getByRole('row').filter({ hasText: /(imap|pop3)-(ssl|tls|plain)-/ }).all()) {
      await expect(row).toContainText('Checked');
      hrefs.push((await row.getByRole('link', { name: 'View inbox' }).getAttribute('href')) ?? '');
    }
  }
  expect(hrefs.length).toBe(CELLS.length);
  const subjects = new Set<string>();
  for (const href of hrefs) {
    await page.goto(`${posthorn.url}${href}`);
    subjects.add(/Came by \S+/.exec(await page.getByRole('main').innerText())?.[0] ?? `nothing in ${href}`);
  }
  expect([...subjects].sort()).toEqual(CELLS.map((it) => `Came by ${userOf(it)}`).sort());
});

test('every connector was reached, and says so', async () => {
  for (const way of CONNECTORS) {
    const tested = (await client.call('POST', `/connectors/${connectors.get(way)}/test`, { address: INNER_NAME, port: dovecot.ports.imap })).json;
    expect([way, tested.error]).toEqual([way, null]);
    expect(tested.stages.at(-1)).toMatchObject({ stage: 'greeting', ok: true });
  }
});

test('while an agent connects, a test of the connection says so', async ({ page }) => {
  // Nobody answers there, and the agent's system asks for three seconds.
  const id = await account('on the way', network.nobody, 'imap', 'plain', connectors.get('agent'));
  await signIn(page, posthorn.url, 'ana');
  await page.goto(`${posthorn.url}/settings/email/imap-pop3/${id}/test`);
  await hydrated(page);
  await page.getByRole('button', { name: 'Test now' }).click();
  const main = page.getByRole('main');
  await expect(main).toContainText('The test is running: Network connector');
  await expect(main).toContainText('Failed: Network connector');
  await expect(main).toContainText('gets no connection there');
});

for (const [kind, scheme] of [['socks5', 'socks5h'], ['http_connect', 'http']] as const) {
  test(`an agent dials out by a proxy for ${scheme}, and only with the right password`, async () => {
    const id = await client.add('/connectors', { name: `by ${scheme}`, kind: 'agent' });
    const agent = agentNamed(`by-${scheme}`);
    const by = (password: string) => [...trusting, '--proxy', `${scheme}://${PROXY_USER}:${password}@${network.address}:${proxies.get(kind)?.port}`];
    agent.options = by('not-this-one');
    const once = await code(id);
    await agent.start(once);
    await expect.poll(() => agent.log()).toMatch(/no connection to the server.*(the SOCKS5 proxy refused|401 Unauthorized)/);
    expect(agent.log()).not.toContain('not-this-one');
    await agent.kill();
    agent.options = by(PROXY_PASSWORD);
    await agent.start(once);
    await approved(id);
    expect(agent.log()).toContain(`${scheme}://${network.address}`);
    expect(agent.log()).not.toContain(PROXY_PASSWORD);

    const user = `proxied-${scheme}`;
    dovecot.deliver(user, 'Subject: By agent and proxy\r\n\r\nHello\r\n');
    const run = await check(await account(user, INNER_NAME, 'imap', 'ssl', id));
    expect([run.outcome, run.new_messages, run.error]).toEqual(['ok', 1, null]);
  });
}
