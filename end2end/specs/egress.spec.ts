// What the server may contact: shown as it is in force, asked without contacting anything, and kept to.
import { type Client, Posthorn } from '../support/posthorn';
import { accessible, expect, hydrated, signIn, test } from '../support/test';

let posthorn: Posthorn;
let client: Client;

test.beforeAll(async () => {
  posthorn = await Posthorn.start({
    POSTHORN_EGRESS_ALLOW: '127.0.0.0/8', POSTHORN_EGRESS_DENY: '127.0.0.9/32,10.9.0.0/16', POSTHORN_EGRESS_PORTS: '2525',
  });
  await posthorn.addUser('ana', 'administrator');
  client = await posthorn.client('ana');
});
test.afterAll(() => posthorn?.stop());

test('the policy is shown, and says what it would do', async ({ page }) => {
  await signIn(page, posthorn.url, 'ana');
  await page.getByRole('link', { name: 'Egress policy' }).click();
  await expect(page.getByRole('main')).toContainText('25, 110, 143, 465, 587, 993, 995, 2525');
  await expect(page.getByRole('main')).toContainText('127.0.0.9/32, 10.9.0.0/16');
  for (const [address, port, answer, why] of [
    ['127.0.0.1', '6379', 'Allowed', 'The allowed range 127.0.0.0/8'],
    ['127.0.0.9', '993', 'Refused', 'The denied range 127.0.0.9/32'],
    ['::ffff:10.9.1.1', '993', 'Refused', 'The denied range 10.9.0.0/16'],
    ['169.254.169.254', '993', 'Refused', 'Link-local'],
    ['fd00:ec2::254', '993', 'Refused', 'Cloud metadata'],
    ['10.0.0.1', '2525', 'Allowed', 'An address like any other'],
    ['10.0.0.1', '6379', 'Refused', 'Not a port of mail'],
  ]) {
    await page.getByLabel('Address', { exact: true }).fill(address);
    await page.getByLabel('Port', { exact: true }).fill(port);
    await page.getByRole('button', { name: 'Try' }).click();
    const row = page.getByRole('region', { name: 'Answer' }).getByRole('row').last();
    await expect(row).toContainText(answer);
    await expect(row).toContainText(why);
  }
  await hydrated(page);
  await accessible(page);
  await page.getByLabel('Address', { exact: true }).fill('imap://x');
  await page.getByRole('button', { name: 'Try' }).click();
  await expect(page.getByRole('alert')).toContainText('Address');
});

test('a denied address is not contacted', async () => {
  const credential = await client.add('/credentials', { name: 'c', username: 'u', secret: 's' });
  const id = await client.add('/accounts', {
    name: 'denied', address: '127.0.0.9', protocol: 'imap', credential_id: credential, automatic_check: false,
  });
  const run = (await client.call('POST', `/accounts/${id}/check`)).json;
  expect([run.outcome, run.error.kind]).toEqual(['failed', 'egress']);
});
