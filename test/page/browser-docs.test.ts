/** The documentation page in Chromium, where keys are set. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openPage, openStage, type Stage, WITHOUT_BROWSER } from './browser.js';

const KEY = 'read-key-0123456789';
const skip = WITHOUT_BROWSER;
let stage: Stage;
before(async () => {
  if (!skip) stage = await openStage({ folders: [], flags: ['--api-keys', `read:${KEY}`] });
});
after(() => stage?.close());

test('a browser opens /docs without a key, and tries a route with one', { skip }, async () => {
  // Its bundle has one style that the content policy blocks, which shows nowhere.
  const options = { mayFail: ['swagger-ui-bundle.js'] };
  const { page, faults, close } = await openPage(stage.browser, `${stage.service.url}/docs/`, options);
  await page.locator('button.authorize').first().click();
  const dialog = page.locator('.modal-ux');
  await dialog.locator('input').first().fill(KEY);
  await dialog.locator('button.authorize').first().click();
  await dialog.locator('button.btn-done').first().click();
  const route = page.locator('.opblock-get', { hasText: '/collections' }).first();
  await route.locator('.opblock-summary').click();
  await route.locator('.try-out__btn').click();
  await route.locator('button.execute').click();
  const status = route.locator('.live-responses-table .response-col_status').last();
  assert.match(String(await status.textContent()), /^200/);
  assert.deepEqual(faults, []);
  await close();
});
