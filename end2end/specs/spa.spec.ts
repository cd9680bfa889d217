// The app for the browser alone, behind a small web server that hands everything else to a running Posthorn.
import { createReadStream, existsSync } from 'node:fs';
import { createServer, request as forward, type Server } from 'node:http';
import { extname, join } from 'node:path';
import { freePort } from '../support/process';
import { PASSWORD, Posthorn } from '../support/posthorn';
import { expect, hydrated, test } from '../support/test';

const DIST = join(process.cwd(), '../dist-spa');
const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.wasm': 'application/wasm', '.css': 'text/css', '.txt': 'text/plain; charset=utf-8',
};
let posthorn: Posthorn;
let front: Server;
let url: string;

test.beforeAll(async () => {
  posthorn = await Posthorn.start({}, ['--demo']);
  await posthorn.addUser('ana', 'administrator');
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  front = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', url);
    const isPage = request.method === 'GET' && pathname.startsWith('/settings') && request.headers['sec-fetch-mode'] === 'navigate';
    const file = join(DIST, isPage ? 'index.html' : pathname);
    if (isPage || (pathname.startsWith('/spa/') && existsSync(file))) {
      response.setHeader('content-type', TYPES[extname(file)] ?? 'application/octet-stream');
      createReadStream(file).pipe(response);
      return;
    }
    const passed = forward(posthorn.url + request.url, { method: request.method, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    request.pipe(passed);
  });
  await new Promise<void>((ready) => front.listen(port, '127.0.0.1', ready));
});
test.afterAll(async () => {
  front?.closeAllConnections();
  front?.close();
  await posthorn?.stop();
});

test('the report, its filters, a form and an inbox work without a rendered page', async ({ page }) => {
  await page.goto(`${url}/settings/email/imap-pop3?name=o`);
  await expect(page).toHaveURL(/sign-in/);
  await page.getByLabel('User name').fill('ana');
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page).toHaveURL(`${url}/settings/email/imap-pop3?name=o`);
  await hydrated(page);
  await expect(page.locator('script[src="/spa/start.js"]')).toBeAttached();
  await page.getByLabel('Name').fill('invo');
  await expect(page.getByRole('row')).toHaveCount(2);
  await page.getByRole('link', { name: 'Edit account' }).click();
  await expect(page.getByLabel('Account Name')).toHaveValue('Invoices');
  await page.getByLabel('Address').fill('not an address');
  await page.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('heading', { name: 'There is a problem' })).toBeVisible();
  await page.getByLabel('Address').fill('invoices.demo.example');
  await page.getByLabel('Account Name').fill('Invoices and reminders');
  await page.getByRole('button', { name: 'Save' }).click();
  const row = page.getByRole('row', { name: /Invoices and reminders/ });
  await row.getByRole('link', { name: 'View inbox' }).click();
  await expect(page.getByRole('main')).toContainText('Invoice 2026-');
});
