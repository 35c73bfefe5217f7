/**
 * Query inputs other than a drop: chosen files, camera, image URLs; and the browser's history. Chromium with a
 * real service.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { startService } from '../service-process.js';
import { demoPicture, giveFiles, openPage, openStage, type Stage, WITHOUT_BROWSER } from './browser.js';

const skip = WITHOUT_BROWSER;
/** Side of an uncompressed picture above the limit of 10 MiB. */
const LARGE_SIDE = 2200;
let stage: Stage;
let web: Server;
let folder: string;
before(async () => {
  if (skip) return;
  folder = await mkdtemp(join(tmpdir(), 'likeness-query-inputs-'));
  const hat = await readFile(demoPicture('hat/hat-02.jpg'));
  web = createServer((request, response) => {
    if (request.url !== '/hat.jpg') return void response.writeHead(404).end();
    response.writeHead(200, { 'content-type': 'image/jpeg' }).end(hat);
  });
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  const flags = ['--allow-url-fetch', '--url-fetch-networks', '127.0.0.1/32', '--url-fetch-ports', String(webPort())];
  stage = await openStage({ folders: ['hat'], flags });
});
after(async () => {
  web?.close();
  await stage?.close();
  if (folder !== undefined) await rm(folder, { recursive: true });
});

const webPort = (): number => (web.address() as AddressInfo).port;
const open = (path = '/', options: Parameters<typeof openPage>[2] = {}) =>
  openPage(stage.browser, stage.service.url + path, options);
const first = (page: Page, group = '') => page.locator(`${group} [data-card]`).first();
const choose = (page: Page, path: string) => page.getByLabel('Picture file').setInputFiles(path);

test('the service fetches an image URL and finds the identical picture', {
  skip,
}, async () => {
  const { page, faults, close } = await open();
  await page.getByLabel('Image URL', { exact: true }).waitFor(); // Shown once the service is known to fetch URLs.
  await page.keyboard.press('/');
  await page.keyboard.type(`http://127.0.0.1:${webPort()}/hat.jpg`);
  await page.keyboard.press('Enter');
  await first(page, '.group.identical').waitFor();
  assert.equal(await first(page, '.group.identical').getAttribute('data-card'), 'hat-02.jpg');
  assert.match(page.url(), /url=http:\/\/127\.0\.0\.1:\d+\/hat\.jpg/);
  assert.deepEqual(faults, [], 'the page itself loads nothing from there');
  await close();
});

test('typed text that is no URL says so, and starts no search', { skip }, async () => {
  const { page, faults, close } = await open();
  await page.getByLabel('Image URL', { exact: true }).fill('red shirt');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').getByText('“red shirt” is not a URL. Enter the URL of a picture').waitFor();
  assert.equal(new URL(page.url()).search, '');
  assert.deepEqual(faults, []);
  await close();
});

test('a service that fetches no URLs has no URL inputs, and says so when a URL is pasted', {
  skip,
}, async (context) => {
  const data = await mkdtemp(join(tmpdir(), 'likeness-no-fetch-'));
  const service = await startService({ data });
  context.after(async () => {
    await service.stop();
    await rm(data, { recursive: true });
  });
  const { page, faults, close } = await openPage(stage.browser, service.url);
  await page.getByRole('button', { name: 'Choose a picture' }).waitFor();
  await page.waitForLoadState('networkidle');
  assert.equal(await page.getByLabel('Image URL', { exact: true }).count(), 0);
  await page.evaluate(`{
    const data = new DataTransfer();
    data.setData('text/plain', 'https://example.org/a.jpg');
    document.body.dispatchEvent(new ClipboardEvent('paste', { bubbles: true, cancelable: true, clipboardData: data }));
  }`);
  await page.getByText('This service does not fetch image URLs. Save the picture and drop it here.').waitFor();
  await page.getByRole('link', { name: 'Import', exact: true }).click();
  await page.getByRole('heading', { name: 'Import jobs' }).waitFor();
  assert.equal(await page.getByText('From image URLs').count(), 0);
  await page.getByText('Use the command line').click();
  await page.getByText(`npx likeness import ~/Pictures --url ${service.url}`, { exact: true }).waitFor();
  assert.deepEqual(faults, []);
  await close();
});

test('a URL without a picture says what to do instead', { skip }, async () => {
  const { page, close } = await open(`/?url=http://127.0.0.1:${webPort()}/gone.jpg`, { mayFail: ['/search'] });
  await page.getByRole('alert').getByText('No picture at this URL').waitFor();
  await close();
});

test('a camera picture is searched for, and the camera is stopped', { skip }, async () => {
  const { page, faults, close } = await open();
  await page.context().grantPermissions(['camera']);
  await page.evaluate(`{
    const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wanted) => (window.stream = await ask(wanted));
  }`);
  await page.getByRole('button', { name: 'Camera' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Search with this' }).click();
  await page.locator('.search-facts').waitFor(); // The drawn scene is similar to no hat.
  assert.match(page.url(), /picture=[0-9a-f]{16}/);
  const wide = await page.evaluate(
    `{ const image = document.querySelector('.crop img'); image.decode().then(() => image.naturalWidth); }`,
  );
  assert.ok(Number(wide) >= 320, `the camera's picture is ${wide} pixels wide`);
  assert.deepEqual(await page.evaluate('stream.getTracks().map(({ readyState }) => readyState)'), ['ended']);
  assert.deepEqual(faults, []);
  await close();
});

test('a forbidden camera shows a message', { skip }, async () => {
  const { page, faults, close } = await open();
  await page.getByRole('button', { name: 'Camera' }).click();
  await page.getByRole('alert').getByText('This page may not use the camera.').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.deepEqual(faults, []);
  await close();
});

test('a phone opens its own camera instead', { skip }, async () => {
  const { page, close } = await open('/', { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
  const chooser = page.waitForEvent('filechooser');
  await page.getByRole('button', { name: 'Camera' }).click();
  const field = (await chooser).element();
  assert.equal(await field.getAttribute('capture'), 'environment');
  await (await chooser).setFiles(demoPicture('hat/hat-02.jpg'));
  await first(page, '.group.identical').waitFor();
  await close();
});

test('a HEIC picture that cannot be decoded is refused with a remedy', { skip }, async () => {
  const heic = join(folder, 'IMG_0001.heic');
  // The head of a phone's file and no more of it: what can be recognised, and read by nobody.
  const head = Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\x08mdat', 'latin1');
  await writeFile(heic, Buffer.concat([head, Buffer.alloc(64)]));
  const { page, close } = await open('/', { mayFail: ['/search'] });
  await choose(page, heic);
  const alert = page.getByRole('alert');
  await alert.getByText('HEIC pictures cannot be read').waitFor();
  assert.match((await alert.textContent()) ?? '', /Save the picture as JPEG, or paste a screenshot/);
  await close();
});

test('a HEIC name on a readable picture, and a too large picture, are re-encoded', {
  skip,
}, async () => {
  const disguised = join(folder, 'IMG_0002.heic');
  await writeFile(disguised, await readFile(demoPicture('hat/hat-02.jpg')));
  const large = join(folder, 'large.png');
  await sharp(demoPicture('hat/hat-05.jpg'))
    .resize(LARGE_SIDE, LARGE_SIDE, { fit: 'fill' })
    .png({ compressionLevel: 0 })
    .toFile(large);
  for (const [path, id] of [
    [disguised, 'hat-02.jpg'],
    [large, 'hat-05.jpg'],
  ] as const) {
    const { page, faults, close } = await open();
    const sent = page.waitForRequest((request) => request.method() === 'POST' && request.url().includes('/search'));
    await choose(page, path);
    assert.match((await (await sent).headerValue('content-type')) ?? '', /image\/jpeg|multipart/);
    await first(page).waitFor();
    assert.equal(await first(page).getAttribute('data-card'), id);
    assert.deepEqual(faults, []);
    await close();
  }
});

test('the history stays in this browser until it is cleared', { skip }, async () => {
  const { page, faults, close } = await open();
  await giveFiles(page, { how: 'drop', target: 'main', paths: [demoPicture('hat/hat-07.jpg')] });
  await first(page, '.group.identical').waitFor();
  const address = page.url();
  await page.getByRole('link', { name: 'Likeness' }).click();
  const recent = page.getByRole('region', { name: 'Recent' });
  await recent.getByRole('link', { name: /a picture of yours/ }).click();
  await page.waitForURL(address);
  await first(page, '.group.identical').waitFor();

  const other = await open();
  await other.page.getByRole('heading', { name: /start from one of/i }).waitFor();
  assert.equal(
    await other.page.getByRole('region', { name: 'Recent' }).count(),
    0,
    'another browser knows nothing of it',
  );
  await other.page.goto(address);
  await other.page.getByText('This browser does not have that picture').waitFor();
  await other.close();
  assert.deepEqual(await page.context().cookies(), []);
  const { collections } = (await (await fetch(`${stage.service.url}/collections`)).json()) as {
    collections: { images: number }[];
  };
  assert.deepEqual(
    collections.map(({ images }) => images),
    [20],
    'the service stores no query',
  );

  await page.getByRole('link', { name: 'Likeness' }).click();
  await recent.getByRole('button', { name: 'Clear history' }).click();
  await recent.waitFor({ state: 'detached' });
  await page.goto(address);
  await page.getByText('This browser does not have that picture').waitFor();
  assert.deepEqual(faults, []);
  await close();
});
