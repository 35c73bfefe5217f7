/** Importing in the page, and the search box on another site's page, in Chromium before a real service. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { demoPicture, giveFiles, openPage, openStage, type Stage, WITHOUT_BROWSER } from './browser.js';

const skip = WITHOUT_BROWSER;
let stage: Stage;
let host: Server;
before(async () => {
  if (skip) return;
  host = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(`<!doctype html><html lang="en"><title>A shop</title><h1>A shop</h1>
      <script src="${stage.service.url}/likeness-search.js"></script>
      <likeness-search collection="shop" k="6" link-template="/items/{id}"></likeness-search></html>`);
  });
  await new Promise<void>((resolve) => host.listen(0, '127.0.0.1', resolve));
  stage = await openStage({ folders: [], flags: ['--cors-origins', hostAddress()] });
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
