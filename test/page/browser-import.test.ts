/** Importing in the page, and the search box on another site's page, in Chromium before a real service. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { zipOf } from '../importing/archives.js';
import { demoPicture, giveFiles, openPage, openStage, type Stage, WITHOUT_BROWSER, waitUntil } from './browser.js';

const skip = WITHOUT_BROWSER;
let stage: Stage;
let host: Server;
/** The element as a shop may set it up: German, own captions. */
const GERMAN = 'lang="de" caption-template="{fileName} ({score})"';
/** Whether the shop serves its picture. */
let isPictureThere = false;
before(async () => {
  if (skip) return;
  const picture = await readFile(demoPicture('hat/hat-05.jpg'));
  host = createServer((request, response) => {
    if (request.url === '/hat.jpg')
      return void response.writeHead(isPictureThere ? 200 : 404).end(isPictureThere ? picture : '');
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(`<!doctype html><html lang="en"><title>A shop</title><h1>A shop</h1>
      <script src="${stage.service.url}/likeness-search.js"></script>
      <likeness-search collection="shop" k="6" ${request.url === '/german' ? GERMAN : 'link-template="/items/{id}"'}></likeness-search></html>`);
  });
  await new Promise<void>((resolve) => host.listen(0, '127.0.0.1', resolve));
  const fetching = [
    '--allow-url-fetch',
    '--url-fetch-networks',
    '127.0.0.1/32',
    '--url-fetch-ports',
    new URL(hostAddress()).port,
  ];
  stage = await openStage({ folders: [], flags: ['--cors-origins', hostAddress(), ...fetching] });
});
after(async () => {
  host?.close();
  await stage?.close();
});

const hostAddress = (): string => `http://127.0.0.1:${(host.address() as AddressInfo).port}`;

test('an empty catalogue offers the demo pictures, and one click loads them', { skip }, async () => {
  const { page, faults, close } = await openPage(stage.browser, stage.service.url);
  await page.getByRole('button', { name: /demo/i }).click();
  await page.getByRole('heading', { name: /start from one of/i }).waitFor({ timeout: 120_000 });
  const { collections } = (await (await fetch(`${stage.service.url}/collections`)).json()) as {
    collections: { images: number }[];
  };
  assert.equal(collections[0]?.images, 208);
  await page.getByRole('heading', { name: /one of 208 pictures/ }).waitFor();

  // Ids of the demo are hashes; the page shows file names.
  await page
    .getByRole('link', { name: /^Search with hat-\d\d\.jpg$/ })
    .first()
    .click();
  const card = page.locator('[data-card]').first();
  await card.waitFor();
  assert.match((await card.getAttribute('title')) ?? '', /^[\w-]+\.jpg$/);
  await card.getByRole('img', { name: /^[\w-]+\.jpg$/ }).waitFor();
  await card.click();
  await page.getByRole('dialog', { name: /^[\w-]+\.jpg$/ }).waitFor();
  await page.goto(`${stage.service.url}/?page=map`);
  await page.locator('canvas.map').focus();
  await page.keyboard.press('ArrowLeft');
  await page
    .locator('.map-label')
    .getByText(/^[\w-]+\.jpg$/)
    .waitFor();
  assert.deepEqual(faults, []);
  await close();
});

test('good files are stored, and a bad one among them is listed with its reason', {
  skip,
}, async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'likeness-bad-'));
  context.after(() => rm(folder, { recursive: true }));
  const bad = join(folder, 'broken.jpg');
  await writeFile(bad, 'this is no picture');
  const { page, faults, close } = await openPage(stage.browser, `${stage.service.url}/?page=import&collection=mine`, {
    mayFail: ['/index'],
  });
  const paths = [demoPicture('hat/hat-01.jpg'), bad, demoPicture('hat/hat-03.jpg')];
  await giveFiles(page, { how: 'drop', target: 'main', paths });
  const upload = page.getByRole('article', { name: /Upload of 3 files/ });
  await upload.getByText('Done with 1 failure', { exact: true }).waitFor();
  assert.match((await upload.locator('.tally').textContent()) ?? '', /found3added2already stored0waiting0failed1/);
  assert.match(
    (await upload.getByRole('row', { name: /broken\.jpg/ }).textContent()) ?? '',
    /cannot be read as a picture/,
  );
  assert.equal(await upload.getByRole('button', { name: 'Retry failed' }).count(), 0, 'a retry cannot help');
  assert.deepEqual(faults, []);
  await close();
});

test('an archive with one bad file: its job lists it with a reason, and offers no retry, which cannot help', {
  skip,
}, async () => {
  const good = ['hat/hat-06.jpg', 'hat/hat-07.jpg'].map(async (name) => ({
    name,
    content: await readFile(demoPicture(name)),
  }));
  const archive = zipOf([...(await Promise.all(good)), { name: 'hat/notes.jpg', content: 'this is no picture' }]);
  const { page, faults, close } = await openPage(
    stage.browser,
    `${stage.service.url}/?page=import&collection=archived`,
  );
  await page
    .getByLabel('Files to import', { exact: true })
    .nth(1)
    .setInputFiles({ name: 'hats.zip', mimeType: 'application/zip', buffer: archive });
  const job = page.getByRole('article', { name: 'Import of hats.zip' });
  const settled = async (): Promise<void> => {
    await job.getByText('Done with 1 failure', { exact: true }).waitFor();
    assert.match((await job.locator('.tally').textContent()) ?? '', /found3added2already stored0waiting0failed1/);
  };
  await settled();
  await job.getByText('One file was not stored').click();
  assert.match((await job.getByRole('row', { name: /notes\.jpg/ }).textContent()) ?? '', /cannot be read as a picture/);
  const listed = page.waitForResponse((response) => response.url().includes('/failures'));
  await page.reload();
  await listed;
  await settled();
  assert.equal(await job.getByRole('button', { name: 'Retry failed' }).count(), 0);
  assert.deepEqual(faults, []);
  await close();
});

test('a failed image URL is retried and then stored', { skip }, async () => {
  const { page, faults, close } = await openPage(stage.browser, `${stage.service.url}/?page=import&collection=fetched`);
  await page.getByText('From image URLs').click();
  await page.getByLabel('Image URLs, one per line').fill(`${hostAddress()}/hat.jpg`);
  await page.getByRole('button', { name: 'Fetch' }).click();
  const job = page.getByRole('article').filter({ hasText: '“fetched”' });
  await job.getByText('One file was not stored').click();
  await job
    .getByRole('row', { name: /hat\.jpg/ })
    .getByText('No picture at this URL')
    .waitFor();
  isPictureThere = true;
  await job.getByRole('button', { name: 'Retry failed' }).click();
  await job
    .locator('.tally')
    .getByText(/failed\s*0/)
    .waitFor();
  await job.getByText('Done', { exact: true }).waitFor();
  assert.match((await job.locator('.tally').textContent()) ?? '', /found1added1already stored0waiting0failed0/);
  assert.deepEqual(faults, []);
  await close();
});

test('the search box works on a page of another origin', { skip }, async () => {
  const form = new FormData();
  form.set('id', 'hat/hat-02.jpg');
  form.set('image', new Blob([new Uint8Array(await readFile(demoPicture('hat/hat-02.jpg')))]), 'hat-02.jpg');
  assert.ok((await fetch(`${stage.service.url}/index?collection=shop`, { method: 'POST', body: form })).ok);
  const { page, close } = await openPage(stage.browser, hostAddress());
  await page.evaluate(
    `document.addEventListener('likeness-select', (event) => { event.preventDefault(); window.chosen = event.detail.id; })`,
  );
  await giveFiles(page, { how: 'drop', target: 'likeness-search', paths: [demoPicture('hat/hat-02.jpg')] });
  await page.getByRole('heading', { name: 'Identical' }).waitFor();
  const first = page.locator('likeness-search a').first();
  assert.equal(await first.getAttribute('href'), `${hostAddress()}/items/hat%2Fhat-02.jpg`);
  await waitUntil(
    page,
    `document.querySelector('likeness-search').shadowRoot.querySelector('li img').naturalWidth > 0`,
  );
  await first.click();
  assert.equal(await page.evaluate('window.chosen'), 'hat/hat-02.jpg');
  await close();
});

test('the search box follows its attributes: what to show, captions, language', { skip }, async () => {
  for (const name of ['hat-02.jpg', 'hat-14.jpg']) {
    const form = new FormData();
    form.set('image', new Blob([new Uint8Array(await readFile(demoPicture(`hat/${name}`)))]), name);
    assert.ok((await fetch(`${stage.service.url}/index?collection=shop`, { method: 'POST', body: form })).ok);
  }
  const { page, close } = await openPage(stage.browser, `${hostAddress()}/german`);
  const search = async (attributes: { readonly [name: string]: string }): Promise<void> => {
    await page.evaluate(`{
      const element = document.querySelector('likeness-search');
      element.clear();
      for (const [name, value] of Object.entries(${JSON.stringify(attributes)})) element.setAttribute(name, value);
    }`);
    await giveFiles(page, { how: 'drop', target: 'likeness-search', paths: [demoPicture('hat/hat-02.jpg')] });
    await page.getByRole('heading', { name: 'Identisch' }).waitFor();
  };
  await page.getByRole('button', { name: 'Bild auswählen' }).waitFor();
  const others = page.getByRole('heading', { name: /^(Ähnlich|Schwächere Treffer)$/ });
  await search({ show: 'all', 'min-score': '-1' });
  await others.waitFor();
  await page.getByText('hat-02.jpg (1.00)').waitFor();
  await search({ show: 'all', 'min-score': '0.95' });
  assert.equal(await others.count(), 0, 'by score');
  await search({ show: 'copies', 'min-score': '-1' });
  assert.equal(await others.count(), 0, 'by kind');

  await page.evaluate(`document.querySelector('likeness-search').messages = { choose: 'Foto' }`);
  await page.getByRole('button', { name: 'Foto' }).waitFor();
  const failed = page.evaluate(
    `new Promise((resolve) => document.addEventListener('likeness-error', ({ detail }) => resolve(detail.code), { once: true }))`,
  );
  await page.evaluate(`void document.querySelector('likeness-search').search(new Blob(['no picture']))`);
  assert.equal(await failed, 'UNSUPPORTED_FORMAT');
  await page.getByText('Diese Datei kann nicht verwendet werden.').waitFor();
  await close();
});

test('a file dropped while the collection is being typed goes into the typed collection', { skip }, async () => {
  const { page, faults, close } = await openPage(stage.browser, `${stage.service.url}/?page=import`);
  const field = page.getByLabel('Collection');
  await field.fill('typed!');
  await giveFiles(page, { how: 'drop', target: 'main', paths: [demoPicture('hat/hat-11.jpg')] });
  await page.getByText('Enter a valid collection name first.').waitFor();
  // Before the next frame, as on a machine too busy to paint.
  const first = { field: 'input[list]', text: 'typed' };
  await giveFiles(page, { how: 'drop', target: 'main', paths: [demoPicture('hat/hat-11.jpg')], first });
  await page.getByRole('article').filter({ hasText: '“typed”' }).getByText('Done', { exact: true }).waitFor();
  const { images } = (await (await fetch(`${stage.service.url}/images?collection=typed`)).json()) as {
    images: unknown[];
  };
  assert.equal(images.length, 1);
  assert.deepEqual(faults, []);
  await close();
});
