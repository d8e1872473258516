import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Server } from '../server.ts';
import { browserTests, complaintsOf, startBrowser } from './browser.ts';

describe.skipIf(browserTests.skip)(`the dashboard of one process${browserTests.suffix}`, () => {
  let server: Server;
  let browser: Browser;
  beforeAll(async () => {
    server = await Server.start(['--api-key', 'the-api-key']);
    browser = await startBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
  });

  it('asks for the API key, and shows what there is: traffic and experts, nothing to change', async () => {
    const page = await browser.newPage();
    const complaints = complaintsOf(page);
    await page.goto(server.url);
    const dialog = page.getByRole('dialog', { name: 'Key' });
    await dialog.getByLabel('Key', { exact: true }).fill('another-key');
    await dialog.getByRole('button', { name: 'Continue' }).click();
    await dialog.getByText('missing or unknown key').waitFor();
    await dialog.getByLabel('Key', { exact: true }).fill('the-api-key');
    await dialog.getByRole('button', { name: 'Continue' }).click();
    await page.getByRole('status').filter({ hasText: 'Live' }).waitFor();
    await page.getByText('No load was measured yet').waitFor();
    const answered = await server.fetch(
      '/v1/completions',
      { prompt: 'What is 1 + 1?', max_tokens: 8 },
      {
        headers: { 'content-type': 'application/json', authorization: 'Bearer the-api-key' },
      },
    );
    expect(answered.status).toBe(200);
    await page.getByRole('application', { name: 'Load of experts' }).waitFor();
    await page
      .getByText(/^p99 [\d.]+ ms/)
      .first()
      .waitFor();
    expect(await page.getByRole('button', { name: /Drain|Scale/ }).count()).toBe(0);
    // Refused requests are errors on the console: those without a key, and with the other one.
    expect(complaints.filter((complaint) => !complaint.includes('401'))).toEqual([]);
    // The key is in the memory of this tab, and nowhere where another one would find it.
    expect(await page.evaluate('[localStorage.length, document.cookie]')).toEqual([0, '']);
    await page.close();
  });
});
