import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cluster, clusterTests } from '../cluster/harness/cluster.ts';
import { completeGolden } from '../expect-golden.ts';
import { goldenFolder, readGoldens } from '../golden.ts';
import { browserTests, complaintsOf, overflows, startBrowser } from './browser.ts';

const family = 'mixtral';
const adminKey = 'the-admin-key';
const skip = clusterTests.skip || browserTests.skip;

describe.skipIf(skip)(`the dashboard of a cluster${clusterTests.suffix}${browserTests.suffix}`, () => {
  let cluster: Cluster;
  let browser: Browser;
  beforeAll(async () => {
    cluster = await Cluster.start({ model: goldenFolder(family), workers: { w1: [], w2: [], w3: [] }, adminKey });
    browser = await startBrowser();
    await completeGolden(
      cluster,
      readGoldens(family).map(({ prompt }) => prompt),
    );
    await cluster.untilStatus(({ load }) => load.length > 0);
  });
  afterAll(async () => {
    await browser?.close();
    await cluster?.stop();
  });

  /** A fresh tab, without keys. */
  const open = async (size = { width: 1280, height: 900 }): Promise<{ page: Page; complaints: readonly string[] }> => {
    const context = await browser.newContext({ viewport: size });
    const page = await context.newPage();
    const complaints = complaintsOf(page);
    await page.goto(cluster.urls[0] ?? '');
    await page.getByRole('status').filter({ hasText: 'Live' }).waitFor();
    return { page, complaints };
  };

  it('shows workers, plan, experts and events, without anything from elsewhere', async () => {
    const { page, complaints } = await open();
    expect(await page.title()).toBe(`${family} – Conclave`);
    for (const id of ['w1', 'w2', 'w3']) {
      await page.getByRole('row', { name: new RegExp(`^${id} .*ready`) }).waitFor();
    }
    await page.getByText(/^Plan 1: /).waitFor();
    await page.getByText('complete', { exact: true }).waitFor();
    await page.getByRole('application', { name: 'Load of experts' }).waitFor();
    await page.locator('#events').getByText('PLAN_COMMITTED').waitFor();
    expect(await page.locator('#tokens').textContent()).toMatch(/^\d/);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it('is used with the keyboard alone: skip link, experts by arrows, a dialog that Escape closes', async () => {
    const { page, complaints } = await open();
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to the content');
    await page.keyboard.press('Enter');
    await page.locator('#map').focus();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowRight');
    await page.getByText(/^Layer 1, expert 1: .*, on w\d/).waitFor();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    const dialog = page.getByRole('dialog', { name: 'Scale experts' });
    await dialog.waitFor();
    expect(await dialog.getByRole('spinbutton', { name: 'Layer' }).inputValue()).toBe('1');
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'hidden' });
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  it('drains a worker with the admin key, and says clearly that another key is not one', async () => {
    const { page } = await open();
    await page.getByRole('button', { name: 'Drain w3' }).click();
    const dialog = page.getByRole('dialog', { name: 'Drain w3' });
    await dialog.getByText('Changes need an admin key.').waitFor();
    await dialog.getByLabel('Admin key').fill('another-key');
    await dialog.getByRole('button', { name: 'Drain', exact: true }).click();
    await dialog.getByText('Changes need an admin key, and this is not one').waitFor();
    expect((await cluster.status()).requests.filter(({ kind }) => kind === 'drain')).toEqual([]);
    await dialog.getByLabel('Admin key').fill(adminKey);
    await dialog.getByRole('button', { name: 'What would move?' }).click();
    await dialog.getByRole('row', { name: /^w3/ }).waitFor();
    await dialog.getByRole('button', { name: 'Drain', exact: true }).click();
    await page.getByText(/^Plan \d+ carries it out/).waitFor();
    await page.getByRole('row', { name: /^w3 .*drained/ }).waitFor();
    await cluster.untilStatus(({ workers }) => workers.some(({ id, state }) => id === 'w3' && state === 'drained'));
    // The key is kept for this tab: it is not asked for again.
    await page.getByRole('button', { name: 'Undo the drain of w3' }).click();
    const undo = page.getByRole('dialog', { name: 'Undo the drain of w3' });
    expect(await undo.getByLabel('Admin key').isVisible()).toBe(false);
    await undo.getByRole('button', { name: 'Use it again' }).click();
    await page.getByRole('row', { name: /^w3 .*ready/ }).waitFor();
    const { events } = await cluster.status();
    const drain = events.find(({ code, message }) => code === 'PLAN_PUBLISHED' && message.includes('drain w3'));
    expect(drain?.message).toMatch(/by key [0-9a-f]{8} \(dashboard\)/);
    await page.context().close();
  });

  it.each([
    ['a phone', 375],
    ['a small window', 700],
  ])('fits %s', async (_, width) => {
    const { page } = await open({ width, height: 800 });
    expect(await overflows(page)).toBe(false);
    await page.getByRole('button', { name: 'Drain w1' }).click();
    await page.getByRole('dialog', { name: 'Drain w1' }).waitFor();
    expect(await overflows(page)).toBe(false);
    await page.context().close();
  });

  it('says when the controller is away, and goes on when it is back', async () => {
    const { page } = await open();
    await cluster.controllers[0]?.signal('SIGKILL');
    await page.getByRole('status').filter({ hasText: 'Reconnecting: ' }).waitFor();
    await page.getByRole('row', { name: /^w1 .*ready/ }).waitFor();
    await cluster.startController('c1');
    await page.getByRole('status').filter({ hasText: 'Live' }).waitFor({ timeout: 60_000 });
    expect(await page.getByRole('row', { name: /^w\d .*ready/ }).count()).toBe(3);
    await page.context().close();
  });
});
