/** What must not move, grow or leak on the search page, in Chromium with a real service. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Locator } from 'playwright-core';
import sharp from 'sharp';
import { demoPicture, giveFiles, openPage, openStage, type Stage, WITHOUT_BROWSER, waitUntil } from './browser.js';

const skip = WITHOUT_BROWSER;
let stage: Stage;
before(async () => {
  if (!skip) stage = await openStage({ folders: ['hat'] });
});
after(() => stage?.close());

const boxOf = async (locator: Locator) => (await locator.boundingBox())!;

test('results appear where their placeholders were', { skip }, async () => {
  const { page, faults, close } = await openPage(stage.browser, stage.service.url);
  await page.getByRole('heading', { name: /start from one of/i }).waitFor();
  let answer = (): void => undefined;
  const isAnswered = new Promise<void>((resolve) => (answer = resolve));
  await page.route('**/search', async (route) => {
    await isAnswered;
    await route.continue();
  });
  await giveFiles(page, { how: 'drop', target: 'main', paths: [demoPicture('hat/hat-02.jpg')] });
  const placeholder = page.locator('.tile.waiting').first();
  await placeholder.waitFor();
  await waitUntil(page, `document.querySelector('.crop img')?.complete`);
  const before = await boxOf(placeholder);
  answer();
  await page.locator('[data-card="hat-02.jpg"]').waitFor();
  const after = await boxOf(page.locator('[data-card] .tile').first());
  for (const side of ['x', 'y', 'width', 'height'] as const)
    assert.ok(Math.abs(before[side] - after[side]) < 2, `${side}: ${before[side]} before, ${after[side]} after`);
  assert.deepEqual(faults, []);
  await close();
});

test('a filter row moves nothing beside it', { skip }, async () => {
  const { page, faults, close } = await openPage(stage.browser, `${stage.service.url}/?id=hat-02.jpg`, {
    viewport: { width: 1280, height: 560 },
  });
  await page.locator('.search-facts').waitFor();
  const panel = page.getByLabel('Minimum score');
  const before = await boxOf(panel);
  for (let at = 0; at < 3; at++) await page.getByRole('button', { name: 'Add filter' }).click();
  await page.getByLabel('Field').nth(2).waitFor();
  const after = await boxOf(panel);
  assert.deepEqual([before.x, before.width], [after.x, after.width]);
  assert.deepEqual(faults, []);
  await close();
});

test('the detail view shows both pictures at one height, with boxes within them', { skip }, async () => {
  const { page, faults, close } = await openPage(stage.browser, stage.service.url);
  const folder = await mkdtemp(join(tmpdir(), 'likeness-wide-'));
  const wide = join(folder, 'wide.png');
  await sharp(demoPicture('hat/hat-02.jpg')).resize(640, 240, { fit: 'cover' }).png().toFile(wide);
  await giveFiles(page, { how: 'drop', target: 'main', paths: [wide] });
  await page.locator('.search-facts').waitFor();
  await page.goto(`${page.url()}&open=hat-02.jpg`);
  const pictures = page.getByRole('dialog').locator('.fitted > img');
  await pictures.nth(1).waitFor();
  for (const viewport of [
    { width: 1280, height: 860 },
    { width: 820, height: 1180 },
    { width: 390, height: 844 },
  ]) {
    await page.setViewportSize(viewport);
    // Heights depend on both pictures' ratios, which come with them.
    await waitUntil(
      page,
      `{ const [a, b] = [...document.querySelectorAll('.fitted > img')].map((image) => image.getBoundingClientRect());
         Math.abs(a.height - b.height) < 1 && a.height > 60 && Math.abs(a.width / a.height - 640 / 240) < 0.05; }`,
    );
    const dialog = await boxOf(page.getByRole('dialog'));
    for (const box of [await boxOf(pictures.first()), await boxOf(pictures.nth(1))])
      assert.ok(box.x >= dialog.x && box.x + box.width <= dialog.x + dialog.width, JSON.stringify(viewport));
  }
  assert.deepEqual(faults, []);
  await close();
  await rm(folder, { recursive: true });
});

test('a page that has seen many searches holds no more object URLs and query pictures than after a few', {
  skip,
}, async () => {
  const { page, faults, close } = await openPage(stage.browser, stage.service.url);
  await page.addInitScript(`{
    window.liveUrls = new Set();
    const { createObjectURL, revokeObjectURL } = URL;
    URL.createObjectURL = (blob) => { const url = createObjectURL.call(URL, blob); liveUrls.add(url); return url; };
    URL.revokeObjectURL = (url) => { liveUrls.delete(url); revokeObjectURL.call(URL, url); };
  }`);
  await page.reload();
  const searches = async (names: readonly string[]): Promise<number> => {
    for (const name of names) {
      await giveFiles(page, { how: 'drop', target: 'main', paths: [demoPicture(`hat/${name}`)] });
      await page.locator(`.group.identical [data-card="${name}"]`).waitFor();
    }
    return Number(await page.evaluate('liveUrls.size'));
  };
  const few = await searches(['hat-01.jpg', 'hat-03.jpg']);
  const many = await searches(['hat-05.jpg', 'hat-06.jpg', 'hat-07.jpg', 'hat-08.jpg', 'hat-09.jpg', 'hat-10.jpg']);
  assert.equal(many, few);
  // The picture of the first search is in the browser's store only: once gone from there, the page does not have it.
  await page.evaluate(`new Promise((resolve) => {
    const opening = indexedDB.open('likeness', 1);
    opening.onsuccess = () => {
      const transaction = opening.result.transaction('pictures', 'readwrite');
      transaction.objectStore('pictures').clear();
      transaction.oncomplete = resolve;
    };
  })`);
  await page.goBack();
  await page.getByText('This browser does not have that picture').waitFor();
  assert.deepEqual(faults, []);
  await close();
});
