import type { Browser, Page } from 'playwright-core';
import { chromium } from 'playwright-core';
import { findProgram, needs } from '../../integration/find-program.ts';

/** `describe.skipIf` where no browser is; the suffix says how to get one. */
export const browserTests = needs('chromium', 'apt-get install chromium');

export function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: findProgram('chromium') ?? 'chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  });
}

/** What a page said that it should not: errors on its console, exceptions, violations of its content security policy. */
export function complaintsOf(page: Page): readonly string[] {
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(`exception: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(`console: ${message.text()}`);
  });
  page.on('request', (request) => {
    if (new URL(request.url()).host !== new URL(page.url()).host && page.url() !== 'about:blank') {
      complaints.push(`asked for ${request.url()}`);
    }
  });
  return complaints;
}

/** Whether something is wider than the window. */
export function overflows(page: Page): Promise<boolean> {
  return page.evaluate<boolean>('document.documentElement.scrollWidth > document.documentElement.clientWidth');
}
