/** The search page in Chromium, with a real service and the demo pictures. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Page } from 'playwright-core';
import { demoPicture, giveFiles, openPage, openStage, type Stage, WITHOUT_BROWSER } from './browser.js';

const skip = WITHOUT_BROWSER;
let stage: Stage;
before(async () => {
  if (!skip) stage = await openStage({ folders: ['.'] });
});
after(() => stage?.close());

const cards = (page: Page, group = '') => page.locator(`${group} [data-card]`);
const firstCard = (page: Page, group = '') => cards(page, group).first();
const showWeaker = (page: Page) => page.getByRole('button', { name: /^Show \d+\+? weaker match/ }).click();

async function openSearch(path = '/', options: Parameters<typeof openPage>[2] = {}) {
  return openPage(stage.browser, stage.service.url + path, options);
}

test('a dropped picture is found as identical, its edited copy as edited, and Back and reload keep the search', {
  skip,
}, async () => {
  const { page, faults, close } = await openSearch();
  await giveFiles(page, { how: 'drop', target: 'main', paths: [demoPicture('shirt/shirt-04.jpg')] });
  await firstCard(page, '.group.identical').waitFor();
  assert.equal(await firstCard(page, '.group.identical').getAttribute('data-card'), 'shirt/shirt-04.jpg');
  assert.equal(await firstCard(page, '.group.edited').getAttribute('data-card'), 'edited/shirt-04-grey.jpg');
  assert.ok((await cards(page, '.group.similar').count()) > 0);
  assert.equal(await cards(page, '.group.weaker').count(), 0, 'weaker matches are hidden');
  await showWeaker(page);
  await firstCard(page, '.group.weaker').waitFor();
  assert.match(page.url(), /picture=[0-9a-f]{16}/);

  await page.reload();
  await firstCard(page, '.group.identical').waitFor();
  await page.goBack();
  await page.getByRole('heading', { name: 'Find pictures like yours' }).waitFor();
  await page.goForward();
  await firstCard(page, '.group.identical').waitFor();
  assert.deepEqual(faults, []);
  await close();
});

test('a pasted screenshot is searched for', { skip }, async () => {
  const { page, faults, close } = await openSearch();
  await giveFiles(page, { how: 'paste', target: 'body', paths: [demoPicture('hat/hat-02.jpg')] });
  await firstCard(page, '.group.identical').waitFor();
  assert.equal(await firstCard(page, '.group.identical').getAttribute('data-card'), 'hat/hat-02.jpg');
  assert.deepEqual(faults, []);
  await close();
});

test('a crop drawn with the pointer starts a search and is in the address', { skip }, async () => {
  const { page, faults, close } = await openSearch('/?id=dress/dress-06.jpg');
  await firstCard(page).waitFor();
  const frame = (await page.locator('.crop').boundingBox())!;
  await page.mouse.move(frame.x + frame.width * 0.2, frame.y + frame.height * 0.2);
  await page.mouse.down();
  await page.mouse.move(frame.x + frame.width * 0.8, frame.y + frame.height * 0.6, { steps: 5 });
  await page.mouse.up();
  await page.waitForURL(/crop=0\.\d+,0\.\d+,0\.\d+,0\.\d+/);
  await page.getByText('Searching for this part.').waitFor();
  await firstCard(page).waitFor();
  assert.deepEqual(faults, []);
  await close();
});

test('a filter restricts the results', { skip }, async () => {
  const { page, faults, close } = await openSearch('/?id=dress/dress-06.jpg');
  await firstCard(page).waitFor();
  await page.getByRole('button', { name: 'Add filter' }).click();
  await page.getByLabel('Field').fill('folder');
  await page.getByLabel('Value').fill('shoes');
  await page.getByLabel('Value').press('Enter');
  await page.waitForURL(/filter=/);
  await page.locator('.found[aria-busy="false"]:not(:has([data-card^="dress/"]))').waitFor();
  await showWeaker(page);
  const ids = await cards(page).evaluateAll((elements) => elements.map((element) => element.getAttribute('data-card')));
  assert.ok(ids.length > 0 && ids.every((id) => id?.startsWith('shoes/')), ids.join(' '));
  assert.deepEqual(faults, []);
  await close();
});

test('two pictures are compared side by side, by slider and by flicker, with keys alone', { skip }, async () => {
  const { page, faults, close } = await openSearch('/?id=shirt/shirt-04.jpg');
  await firstCard(page).focus();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog');
  await dialog.waitFor();
  assert.match(page.url(), /open=/);
  for (const [name, mark] of [
    ['Slider', 'input[type="range"]'],
    ['Flicker', '.flicker-controls'],
  ] as const) {
    await dialog.getByRole('button', { name }).click();
    await dialog.locator(mark).first().waitFor();
  }
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  assert.doesNotMatch(page.url(), /open=/);
  assert.deepEqual(faults, []);
  await close();
});

test('More like this and Less like this add examples', { skip }, async () => {
  const { page, faults, close } = await openSearch('/?id=dress/dress-06.jpg');
  await firstCard(page).waitFor();
  await firstCard(page).focus();
  await page.keyboard.press('m');
  await page.waitForURL(/id=.*id=/);
  await page.getByRole('heading', { name: 'More like' }).waitFor();
  await firstCard(page).waitFor();
  await firstCard(page).focus();
  await page.keyboard.press('l');
  await page.waitForURL(/notId=/);
  await page.getByRole('heading', { name: 'Less like' }).waitFor();
  assert.deepEqual(faults, []);
  await close();
});

test('a selected picture is deleted after asking, and no search finds it again', { skip }, async () => {
  const { page, faults, close } = await openSearch('/?id=shoes/shoes-03.jpg');
  await firstCard(page).waitFor();
  const id = (await firstCard(page).getAttribute('data-card'))!;
  await firstCard(page).focus();
  await page.keyboard.press('x');
  await page.getByRole('region', { name: 'Selected pictures' }).getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.getByText('Deleted.').waitFor();
  await page.reload();
  await firstCard(page).waitFor();
  assert.equal(await page.locator(`[data-card="${id}"]`).count(), 0);
  assert.equal((await fetch(`${stage.service.url}/images/${encodeURIComponent(id)}`)).status, 404);
  assert.deepEqual(faults, []);
  await close();
});

test('on a phone, in the dark, nothing is wider than the screen', { skip }, async () => {
  const phone = { viewport: { width: 390, height: 844 }, colorScheme: 'dark', isMobile: true, hasTouch: true } as const;
  for (const path of [
    '/',
    '/?id=shirt/shirt-04.jpg',
    '/?id=shirt/shirt-04.jpg&open=hat/hat-02.jpg',
    '/?page=import',
    '/?page=map',
    '/?page=status',
  ]) {
    const { page, faults, close } = await openSearch(path, phone);
    await page.locator('main > *').first().waitFor();
    await page.waitForLoadState('networkidle');
    const [wide, colour] = (await page.evaluate(
      '[document.documentElement.scrollWidth, getComputedStyle(document.body).backgroundColor]',
    )) as [number, string];
    assert.ok(wide <= 390, `${path} is ${wide} pixels wide`);
    assert.match(colour, /rgb\(2\d, \d+, \d+\)|rgb\(1\d, \d+, \d+\)/, path);
    assert.deepEqual(faults, [], path);
    await close();
  }
});

test('a URL that the service refuses shows a message', { skip }, async () => {
  const { page, close } = await openSearch('/?url=http://127.0.0.1/secret.png', { mayFail: ['/search'] });
  await page.getByRole('alert').waitFor();
  assert.doesNotMatch((await page.getByRole('alert').textContent()) ?? '', /undefined|\[object/);
  await close();
});

test('the status page opens the quality report in a sandboxed origin, with pictures and its own style', {
  skip,
}, async () => {
  const { page, faults, close } = await openSearch('/?page=status');
  const opened = page.context().waitForEvent('page');
  await page.getByRole('link', { name: 'Quality report' }).click();
  const report = await opened;
  await report.waitForLoadState('load');
  assert.match(report.url(), /\/encoder\/report$/);
  const [origin, pictures, width] = (await report.evaluate(
    '[self.origin, [...document.images].map((image) => image.naturalWidth), getComputedStyle(document.querySelector("main")).maxWidth]',
  )) as [string, number[], string];
  assert.equal(origin, 'null');
  assert.ok(pictures.length > 0 && pictures.every((pixels) => pixels > 100), String(pictures));
  assert.equal(width, '1120px', 'its inline style counts');
  assert.deepEqual(faults, []);
  await close();
});
