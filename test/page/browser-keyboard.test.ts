/** Focus and keyboard shortcuts of the search page, in Chromium with a real service. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Page } from 'playwright-core';
import { demoPicture, giveFiles, openPage, openStage, type Stage, WITHOUT_BROWSER, waitUntil } from './browser.js';

const skip = WITHOUT_BROWSER;
let stage: Stage;
before(async () => {
  if (!skip) stage = await openStage({ folders: ['shirt', 'edited'] });
});
after(() => stage?.close());

const SEARCH = '/?id=shirt-04.jpg';
const open = async (path = SEARCH) => {
  const opened = await openPage(stage.browser, stage.service.url + path);
  await opened.page.locator('[data-card]').first().waitFor();
  return opened;
};
const idOf = (page: Page, at: number): Promise<string | null> =>
  page.locator('[data-card]').nth(at).getAttribute('data-card');
const focusOn = (page: Page, id: string | null) =>
  waitUntil(page, `document.activeElement?.dataset?.card === ${JSON.stringify(id)}`);

test('after closing the detail view, the focus is on the card of the image that was shown', { skip }, async () => {
  const { page, faults, close } = await open();
  const [first, second] = [await idOf(page, 0), await idOf(page, 1)];
  await page.locator('[data-card]').first().click();
  const dialog = page.getByRole('dialog');
  await dialog.waitFor();
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  await focusOn(page, first);
  await page.keyboard.press('Enter');
  await dialog.waitFor();
  await page.keyboard.press('ArrowRight');
  await page.waitForURL((url) => url.searchParams.get('open') === second);
  await page.keyboard.press('Escape');
  await focusOn(page, second);
  assert.deepEqual(faults, []);
  await close();
});

test('after closing any other dialog, the focus is on the button that opened it', { skip }, async () => {
  const { page, faults, close } = await open();
  await page.getByRole('button', { name: 'Help' }).click();
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await waitUntil(page, `document.activeElement?.getAttribute('aria-label') === 'Help'`);

  await page.keyboard.press('x'); // Selects the current card.
  await page.getByRole('region', { name: 'Selected pictures' }).getByRole('button', { name: 'Tag' }).click();
  await page.getByLabel(/^Add tags to/).press('Escape');
  await waitUntil(page, `document.activeElement?.textContent.includes('Tag')`);
  await page.keyboard.press('Escape');
  await page.getByRole('region', { name: 'Selected pictures' }).waitFor({ state: 'detached' });
  assert.deepEqual(faults, []);
  await close();
});

test('arrow keys, S, M, L and X work without a focused card', { skip }, async () => {
  const { page, faults, close } = await open();
  const [first, second] = [await idOf(page, 0), await idOf(page, 1)];
  await page.evaluate('document.activeElement?.blur()');
  await page.keyboard.press('ArrowRight');
  await focusOn(page, first);
  await page.keyboard.press('ArrowRight');
  await focusOn(page, second);
  await page.evaluate('document.activeElement.blur()');
  await page.keyboard.press('x');
  await page.locator(`.card.selected [data-card="${second}"]`).waitFor();
  await page.keyboard.press('m');
  await page.waitForURL((url) => url.searchParams.getAll('id').length === 2);
  await page.keyboard.press('s');
  await page.waitForURL((url) => url.searchParams.getAll('id').length === 1);
  assert.deepEqual(faults, []);
  await close();
});

test('letters typed into a text field are no shortcuts', { skip }, async () => {
  const { page, faults, close } = await open();
  await page.getByRole('button', { name: 'Add filter' }).click();
  const field = page.getByLabel('Field');
  await field.pressSequentially('sum xl');
  assert.equal(await field.inputValue(), 'sum xl');
  assert.equal(new URL(page.url()).search, new URL(SEARCH, page.url()).search);
  assert.equal(await page.locator('.card.selected').count(), 0);
  assert.deepEqual(faults, []);
  await close();
});

test('S in the detail view searches with the image, and the focus is on the first result', { skip }, async () => {
  const { page, faults, close } = await open('/?id=shirt-04.jpg&open=shirt-04-grey.jpg');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('s');
  await page.waitForURL((url) => url.searchParams.get('id') === 'shirt-04-grey.jpg');
  await page.locator('.group.edited [data-card="shirt-04.jpg"]').waitFor();
  await focusOn(page, 'shirt-04.jpg');
  assert.deepEqual(faults, []);
  await close();
});

test('a dropped picture leaves the focus on its first result', { skip }, async () => {
  const { page, faults, close } = await openPage(stage.browser, stage.service.url);
  await page.getByRole('heading', { name: /start from one of/i }).waitFor();
  await giveFiles(page, { how: 'drop', target: 'main', paths: [demoPicture('shirt/shirt-04.jpg')] });
  await page.locator('.group.identical [data-card="shirt-04.jpg"]').waitFor();
  await focusOn(page, 'shirt-04.jpg');
  assert.deepEqual(faults, []);
  await close();
});
