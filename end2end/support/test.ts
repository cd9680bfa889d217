// The test of every spec: it fails on anything that the browser complains about.
import AxeBuilder from '@axe-core/playwright';
import { test as base, expect, type Page } from '@playwright/test';
import { PASSWORD } from './posthorn';

export const test = base.extend<{ quiet: void }>({
  quiet: [async ({ page }, use) => {
    const complaints: string[] = [];
    page.on('console', (message) => {
      // A page that comes back with 422 is an answer, not a fault; the browser logs its status all the same.
      const isStatus = /Failed to load resource: the server responded with a status of (401|404|409|422)/.test(message.text());
      if (message.type() === 'error' && !isStatus) complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    await use();
    expect(complaints).toEqual([]);
  }, { auto: true }],
});

export { expect };

/** Waits until the WebAssembly has taken over. */
export async function hydrated(page: Page): Promise<void> {
  await expect(page.locator('body[data-hydrated]')).toBeAttached();
}

export async function signIn(page: Page, url: string, name: string): Promise<void> {
  await page.goto(`${url}/sign-in`);
  await page.getByLabel('User name').fill(name);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toContainText('IMAP Configuration / POP3');
}

/** No finding of axe, in either theme. */
export async function accessible(page: Page): Promise<void> {
  for (const theme of ['light', 'dark']) {
    await page.evaluate((it) => document.documentElement.setAttribute('data-theme', it), theme);
    const { violations } = await new AxeBuilder({ page })
      .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'])
      .analyze();
    expect(violations.map((it) => `${theme}: ${it.id}: ${it.nodes.map((node) => node.target).join(', ')}`)).toEqual([]);
  }
}
