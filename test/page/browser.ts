/** Headless Chromium and a real service for end-to-end tests, driven by playwright-core. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { REPOSITORY, runCli, type ServiceProcess, startService } from '../service-process.js';

const PLACES = [process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const EXECUTABLE = PLACES.find((path) => path !== undefined && existsSync(path));

/** Why browser tests are skipped; false where Chromium is installed. */
export const WITHOUT_BROWSER =
  EXECUTABLE === undefined && 'Chromium is not installed (apt-get install chromium, or set CHROMIUM_PATH)';
// A skipped test counts as green: say it loudly, and fail where the caller requires a browser.
if (WITHOUT_BROWSER !== false) {
  console.error(`\n!!! BROWSER TESTS SKIPPED: ${WITHOUT_BROWSER} !!!\n`);
  if (process.env.REQUIRE_BROWSER === '1') throw new Error(WITHOUT_BROWSER);
}

/** The demo pictures: 20 of each kind of clothing and some edited copies. */
export const DEMO = join(REPOSITORY, 'examples', 'demo');

/** A service with pictures and a browser. */
export type Stage = { readonly service: ServiceProcess; readonly browser: Browser; close(): Promise<void> };

/** Starts a service, imports the folders (paths below the demo, none for an empty catalogue), opens a browser. */
export async function openStage(options: {
  readonly folders: readonly string[];
  readonly flags?: readonly string[];
}): Promise<Stage> {
  const data = await mkdtemp(join(tmpdir(), 'likeness-browser-'));
  const service = await startService({ data, ...(options.flags && { flags: options.flags }) });
  try {
    for (const folder of options.folders) {
      const { exitCode, output } = await runCli('import', join(DEMO, folder), '--url', service.url);
      assert.equal(exitCode, 0, output);
    }
    const browser = await launchBrowser();
    const close = async (): Promise<void> => {
      await browser.close();
      await service.stop();
      await rm(data, { recursive: true, force: true });
    };
    return { service, browser, close };
  } catch (error) {
    await service.kill();
    throw error;
  }
}

// Chromium has no sandbox for root, as in containers; the pages are ours.
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'];
/** A fake camera; pages still need the permission. */
const CAMERA = '--use-fake-device-for-media-stream';

/** The browser alone. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: EXECUTABLE!, args: [...FLAGS, CAMERA] });
}

/** A page and its faults: errors, content policy violations, requests to other hosts. */
export type WatchedPage = { readonly page: Page; readonly faults: readonly string[]; close(): Promise<void> };

/** Opens a URL in a new profile. `mayFail`: parts of the URLs of requests that are expected to fail. */
export async function openPage(
  browser: Browser,
  url: string,
  options: BrowserContextOptions & { readonly mayFail?: readonly string[] } = {},
): Promise<WatchedPage> {
  const { mayFail = [], ...contextOptions } = options;
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...contextOptions });
  const page = await context.newPage();
  page.setDefaultTimeout(180_000); // Generous: a busy machine must not fail a test.
  const faults: string[] = [];
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() !== 'error') return;
    const from = message.location().url;
    if (!mayFail.some((part) => from.includes(part))) faults.push(`console: ${message.text()} (${from})`);
  });
  page.on('request', (request) => {
    const { protocol, origin } = new URL(request.url());
    if (/^https?:$/.test(protocol) && origin !== new URL(url).origin) faults.push(`another host: ${request.url()}`);
  });
  await page.goto(url, { waitUntil: 'domcontentloaded' }); // Pictures load later; tests wait for what they need.
  return { page, faults, close: () => context.close() };
}

/**
 * Waits until an expression is true in the page. `page.waitForFunction` polls inside the page, where the content policy
 * forbids it to evaluate text: it fails unless the expression is true at once.
 */
export async function waitUntil(page: Page, expression: string): Promise<void> {
  for (let attempt = 0; attempt < 3600; attempt++) {
    if (await page.evaluate(expression)) return;
    await sleep(50);
  }
  throw new Error(`It did not become true in the page: ${expression}`);
}

/** A demo picture's path. */
export function demoPicture(name: string): string {
  return join(DEMO, name);
}

/**
 * Drops files on an element or pastes them, by synthetic events: browsers offer tests no other way. `first`: text
 * typed into a field in the same task.
 */
export async function giveFiles(
  page: Page,
  options: {
    readonly how: 'drop' | 'paste';
    readonly target: string;
    readonly paths: readonly string[];
    readonly first?: { readonly field: string; readonly text: string };
  },
): Promise<void> {
  const files = options.paths.map((path) => ({
    name: path.split('/').at(-1)!,
    base64: readFileSync(path).toString('base64'),
  }));
  // As text: tests are compiled without DOM types.
  const give = `async (element, { how, files, first }) => {
    if (first) {
      const field = document.querySelector(first.field);
      field.value = first.text;
      field.dispatchEvent(new InputEvent('input', { bubbles: true }));
      await undefined;
    }
    const data = new DataTransfer();
    for (const { name, base64 } of files) {
      const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
      data.items.add(new File([bytes], name, { type: /\\.jpe?g$/.test(name) ? 'image/jpeg' : /\\.zip$/.test(name) ? 'application/zip' : 'image/png' }));
    }
    const manner = { bubbles: true, cancelable: true, composed: true };
    if (how === 'paste') return void element.dispatchEvent(new ClipboardEvent('paste', { ...manner, clipboardData: data }));
    for (const type of ['dragenter', 'dragover', 'drop']) element.dispatchEvent(new DragEvent(type, { ...manner, dataTransfer: data }));
  }`;
  const argument = JSON.stringify({ how: options.how, files, first: options.first });
  await page.evaluate(`(${give})(document.querySelector(${JSON.stringify(options.target)}), ${argument})`);
}
