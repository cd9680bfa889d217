import { defineConfig } from '@playwright/test';

// One worker: the specs share two cores with a server, a mail server and a browser. No retries: a flake is a bug.
export default defineConfig({
  testDir: 'specs',
  workers: 1,
  retries: 0,
  timeout: 60_000,
  expect: { timeout: 15_000 },
  reporter: 'list',
  use: {
    launchOptions: {
      executablePath: '/usr/bin/chromium',
      args: [
        '--no-sandbox',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
        '--no-first-run',
      ],
    },
  },
});
