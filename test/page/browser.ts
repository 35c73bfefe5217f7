/** A real browser before a real service: Debian's Chromium, headless, driven by playwright-core. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { REPOSITORY, runCli, type ServiceProcess, startService } from '../service-process.js';

const PLACES = [process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const EXECUTABLE = PLACES.find((path) => path !== undefined && existsSync(path));

/** Why tests in a browser are skipped, or false where there is one. */
export const WITHOUT_BROWSER = EXECUTABLE === undefined && 'no Chromium here (apt-get install chromium, or set CHROMIUM_PATH)';

/** Pictures that ship with the project: 20 of each kind of clothing and some edited copies. */
export const DEMO = join(REPOSITORY, 'src', 'demo');

/** What tests need: one service with pictures, one browser. */
export type Stage = { readonly service: ServiceProcess; readonly browser: Browser; close(): Promise<void> };

/** Starts a service, imports the folders (paths below the demo, none for an empty catalogue), opens a browser. */
export async function openStage(options: { readonly folders: readonly string[]; readonly flags?: readonly string[] }): Promise<Stage> {
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

// Root, as in containers, has no sandbox of its own; the pages are ours.
const ROOM = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'];
/** A camera that shows a drawn scene. Pages must still be allowed to use it. */
const CAMERA = '--use-fake-device-for-media-stream';

/** The browser alone. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: EXECUTABLE!, args: [...ROOM, CAMERA] });
}

/** A page and all that it should not have done: errors, refusals of its content policy, requests to other hosts. */
export type WatchedPage = { readonly page: Page; readonly faults: readonly string[]; close(): Promise<void> };

/** Opens an address in a profile of its own. Requests that a test expects to be refused are named in `mayFail`, as parts of their paths. */
export async function openPage(
  browser: Browser,
  url: string,
  options: BrowserContextOptions & { readonly mayFail?: readonly string[] } = {},
): Promise<WatchedPage> {
  const { mayFail = [], ...contextOptions } = options;
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...contextOptions });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000); // Long, so that a busy machine fails no test.
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
  await page.goto(url, { waitUntil: 'domcontentloaded' }); // Pictures come later; each test waits for what it needs.
  return { page, faults, close: () => context.close() };
}

/** A demo picture's path. */
export function demoPicture(name: string): string {
  return join(DEMO, name);
}

/** Lets a page have files as if they were dropped on an element, or pasted into it: browsers offer tests no other way. */
export async function giveFiles(
  page: Page,
  options: { readonly how: 'drop' | 'paste'; readonly target: string; readonly paths: readonly string[] },
): Promise<void> {
  const files = options.paths.map((path) => ({ name: path.split('/').at(-1)!, base64: readFileSync(path).toString('base64') }));
  // As text: these names are the browser's, and the tests are compiled for Node.
  const give = `(element, { how, files }) => {
    const data = new DataTransfer();
    for (const { name, base64 } of files) {
      const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
      data.items.add(new File([bytes], name, { type: /\\.jpe?g$/.test(name) ? 'image/jpeg' : /\\.zip$/.test(name) ? 'application/zip' : 'image/png' }));
    }
    const manner = { bubbles: true, cancelable: true, composed: true };
    if (how === 'paste') return void element.dispatchEvent(new ClipboardEvent('paste', { ...manner, clipboardData: data }));
    for (const type of ['dragenter', 'dragover', 'drop']) element.dispatchEvent(new DragEvent(type, { ...manner, dataTransfer: data }));
  }`;
  const argument = JSON.stringify({ how: options.how, files });
  await page.evaluate(`(${give})(document.querySelector(${JSON.stringify(options.target)}), ${argument})`);
}
