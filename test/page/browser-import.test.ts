/** Importing in the page, and the search box on another site's page, in Chromium before a real service. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { zipOf } from '../importing/archives.js';
import { demoPicture, giveFiles, openPage, openStage, type Stage, WITHOUT_BROWSER } from './browser.js';

const skip = WITHOUT_BROWSER;
let stage: Stage;
let host: Server;
/** Whether the shop's picture can be had. */
let isPictureThere = false;
before(async () => {
  if (skip) return;
  const picture = await readFile(demoPicture('hat/hat-05.jpg'));
  host = createServer((request, response) => {
    if (request.url === '/hat.jpg') return void response.writeHead(isPictureThere ? 200 : 404).end(isPictureThere ? picture : '');
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(`<!doctype html><html lang="en"><title>A shop</title><h1>A shop</h1>
      <script src="${stage.service.url}/likeness-search.js"></script>
      <likeness-search collection="shop" k="6" link-template="/items/{id}"></likeness-search></html>`);
  });
  await new Promise<void>((resolve) => host.listen(0, '127.0.0.1', resolve));
  const fetching = ['--allow-url-fetch', '--url-fetch-networks', '127.0.0.1/32', '--url-fetch-ports', new URL(hostAddress()).port];
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
  const { collections } = (await (await fetch(`${stage.service.url}/collections`)).json()) as { collections: { images: number }[] };
  assert.equal(collections[0]?.images, 208);
  assert.deepEqual(faults, []);
  await close();
});

test('files with one bad one among them: the good are stored, the bad one is named with its reason', { skip }, async (context) => {
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
  await upload.getByText('Done', { exact: true }).waitFor();
  assert.match((await upload.locator('.tally').textContent()) ?? '', /found3added2there already0waiting0failed1/);
  assert.match((await upload.getByRole('row', { name: /broken\.jpg/ }).textContent()) ?? '', /no picture that can be read/);
  assert.deepEqual(faults, []);
  await close();
});

test('an archive with one bad file: its job tells which and why, and trying again counts nothing twice', { skip }, async () => {
  const good = ['hat/hat-06.jpg', 'hat/hat-07.jpg'].map(async (name) => ({ name, content: await readFile(demoPicture(name)) }));
  const archive = zipOf([...(await Promise.all(good)), { name: 'hat/notes.jpg', content: 'this is no picture' }]);
  const { page, faults, close } = await openPage(stage.browser, `${stage.service.url}/?page=import&collection=archived`);
  await page
    .getByLabel('Files to import', { exact: true })
    .nth(1)
    .setInputFiles({ name: 'hats.zip', mimeType: 'application/zip', buffer: archive });
  const job = page.getByRole('article', { name: 'Import of hats.zip' });
  const settled = async (): Promise<void> => {
    await job.getByText('Done', { exact: true }).waitFor();
    assert.match((await job.locator('.tally').textContent()) ?? '', /found3added2there already0waiting0failed1/);
  };
  await settled();
  await job.getByText('One file was not stored').click();
  assert.match((await job.getByRole('row', { name: /notes\.jpg/ }).textContent()) ?? '', /no picture that can be read/);
  const retried = page.waitForResponse((response) => response.url().endsWith('/retry'));
  await job.getByRole('button', { name: 'Try the rest again' }).click();
  assert.equal((await retried).status(), 202);
  await page.reload();
  await settled();
  assert.deepEqual(faults, []);
  await close();
});

test('an address that gave nothing is tried again, and then stored', { skip }, async () => {
  const { page, faults, close } = await openPage(stage.browser, `${stage.service.url}/?page=import&collection=fetched`);
  await page.getByText('From web addresses').click();
  await page.getByLabel('Addresses of pictures').fill(`${hostAddress()}/hat.jpg`);
  await page.getByRole('button', { name: 'Fetch' }).click();
  const job = page.getByRole('article').filter({ hasText: '“fetched”' });
  await job.getByText('One file was not stored').click();
  await job
    .getByRole('row', { name: /hat\.jpg/ })
    .getByText('The address gives no picture')
    .waitFor();
  isPictureThere = true;
  await job.getByRole('button', { name: 'Try the rest again' }).click();
  await job
    .locator('.tally')
    .getByText(/failed\s*0/)
    .waitFor();
  await job.getByText('Done', { exact: true }).waitFor();
  assert.match((await job.locator('.tally').textContent()) ?? '', /found1added1there already0waiting0failed0/);
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
  await page.getByRole('heading', { name: 'The same picture' }).waitFor();
  const first = page.locator('likeness-search a').first();
  assert.equal(await first.getAttribute('href'), `${hostAddress()}/items/hat%2Fhat-02.jpg`);
  await page.waitForFunction(`document.querySelector('likeness-search').shadowRoot.querySelector('li img').naturalWidth > 0`);
  await first.click();
  assert.equal(await page.evaluate('window.chosen'), 'hat/hat-02.jpg');
  await close();
});
