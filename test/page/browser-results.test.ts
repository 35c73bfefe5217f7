/** Tagging, exporting and comparing results, and the map's lasso; in Chromium with a real service. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import type { Page } from 'playwright-core';
import { openPage, openStage, type Stage, WITHOUT_BROWSER } from './browser.js';

const skip = WITHOUT_BROWSER;
/** Inside the map's rounded corners, outside of all its points; pixels. */
const EDGE = 20;
let stage: Stage;
before(async () => {
  if (!skip) stage = await openStage({ folders: ['dress', 'shoes'] });
});
after(() => stage?.close());

const open = (path: string) => openPage(stage.browser, stage.service.url + path);
const cards = (page: Page) => page.locator('[data-card]');
const idsOf = (page: Page): Promise<(string | null)[]> =>
  cards(page).evaluateAll((elements) => elements.map((element) => element.getAttribute('data-card')));
const selection = (page: Page) => page.getByRole('region', { name: 'Selected pictures' });
/** Shows the weaker matches too, where there are any. */
async function showAll(page: Page): Promise<void> {
  await settled(page);
  const button = page.getByRole('button', { name: /^Show \d+\+? weaker match/ });
  if (await button.isVisible()) await button.click();
}
const settled = (page: Page): Promise<void> => page.locator('.found[aria-busy="false"] .search-facts').waitFor();

async function tagsOf(id: string): Promise<unknown> {
  const response = await fetch(`${stage.service.url}/images/${encodeURIComponent(id)}`);
  return ((await response.json()) as { metadata: { tags?: unknown } }).metadata.tags;
}

test('selected pictures are tagged, found by a filter on the tag, and untagged', { skip }, async () => {
  const { page, faults, close } = await open('/?id=dress-06.jpg');
  await settled(page);
  const chosen = (await idsOf(page)).slice(1, 3) as string[];
  for (const id of chosen) {
    await page.locator(`[data-card="${id}"]`).focus();
    await page.keyboard.press('x');
  }
  await selection(page).getByText('2 selected').waitFor();
  await selection(page).getByRole('button', { name: 'Tag' }).click();
  const field = page.getByLabel(/^Add tags to/); // Waits for the dialog; keys sent before would be lost.
  await field.fill('for the show,  blue ');
  await field.press('Enter');
  await page.getByText('2 tagged.').waitFor();
  for (const id of chosen) assert.deepEqual(await tagsOf(id), ['for the show', 'blue']);

  await page.getByRole('button', { name: 'Add filter' }).click();
  await page.getByLabel('Field').fill('tags');
  await page.getByLabel('Value').fill('for the show');
  await page.getByLabel('Value').press('Enter');
  await page.waitForURL(/filter=/);
  await page
    .locator('.search-facts')
    .getByText(/^2 results/)
    .waitFor();
  assert.deepEqual((await idsOf(page)).sort(), chosen.toSorted());

  await selection(page).getByRole('button', { name: 'Tag' }).click();
  await page.getByRole('button', { name: 'Remove the tag blue' }).click();
  await page.getByText('Tag removed.').waitFor();
  for (const id of chosen) assert.deepEqual(await tagsOf(id), ['for the show']);
  assert.deepEqual(faults, []);
  await close();
});

test('results of a busy service that were not all verified say so, and are searched again on request', {
  skip,
}, async () => {
  const { page, faults, close } = await open('/?page=status');
  let isBusy = true;
  await page.route('**/search', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...(await response.json()), complete: !isBusy } });
  });
  await page.evaluate(
    `{ history.pushState(null, '', './?id=dress-06.jpg'); dispatchEvent(new PopStateEvent('popstate')); }`,
  );
  const notice = page.getByText('Not all candidates were verified');
  await notice.waitFor();
  isBusy = false;
  await page.getByRole('button', { name: 'Search again' }).click();
  await notice.waitFor({ state: 'detached' });
  await settled(page);
  assert.deepEqual(faults, []);
  await close();
});

test('metadata and tags are edited in the detail view', { skip }, async () => {
  const { page, faults, close } = await open('/?id=dress-06.jpg&open=dress-08.jpg');
  const detail = page.getByRole('dialog').first();
  await detail.getByRole('button', { name: 'Edit metadata' }).click();
  const text = page.getByLabel('Metadata (JSON)');
  const save = page.getByRole('button', { name: 'Save' });
  await text.fill('{\n  "price": 12\n  "shop": {}\n}');
  await page.getByText('Not valid JSON (line 3).').waitFor();
  assert.ok(await save.isDisabled());
  await text.fill('{ "price": 12, "shop": { "brand": "acme" }, "tags": ["sale", "summer"] }');
  await save.click();
  await page.getByText('Metadata saved.').waitFor();
  const stored = async (): Promise<unknown> =>
    ((await (await fetch(`${stage.service.url}/images/dress-08.jpg`)).json()) as { metadata: unknown }).metadata;
  assert.deepEqual(await stored(), { price: 12, shop: { brand: 'acme' }, tags: ['sale', 'summer'] });

  await detail.getByRole('button', { name: 'Remove the tag sale' }).click();
  await detail.getByText('sale', { exact: true }).waitFor({ state: 'detached' });
  await detail.getByRole('button', { name: 'Add', exact: true }).click();
  const field = page.getByLabel(/^Add tags to/);
  await field.fill('blue');
  await field.press('Enter');
  await detail.getByRole('list', { name: 'Tags' }).getByText('blue').waitFor();
  assert.deepEqual(await tagsOf('dress-08.jpg'), ['summer', 'blue']);
  assert.deepEqual(faults, []);
  await close();
});

test('results are exported as JSON and CSV, all of them or the selected ones', { skip }, async () => {
  const { page, faults, close } = await open('/?id=shoes-04.jpg&k=100');
  await showAll(page);
  const save = async (
    button: ReturnType<Page['getByRole']>,
  ): Promise<{ readonly name: string; readonly text: string }> => {
    const [download] = await Promise.all([page.waitForEvent('download'), button.click()]);
    return { name: download.suggestedFilename(), text: await readFile(await download.path(), 'utf8') };
  };
  const ids = await idsOf(page);
  const json = await save(page.getByRole('button', { name: /Export \d+ results as JSON/ }));
  assert.match(json.name, /^likeness-[\d-]+\.json$/);
  const exported = JSON.parse(json.text) as {
    readonly search: string;
    readonly encoder: string;
    readonly results: readonly {
      readonly id: string;
      readonly score: number;
      readonly copy: string;
    }[];
  };
  assert.equal(exported.search, page.url());
  assert.deepEqual(exported.results.map(({ id }) => id).sort(), ids.toSorted());
  const answered = (await (await fetch(`${stage.service.url}/search?id=shoes-04.jpg&k=100&groups=true`)).json()) as {
    readonly encoder: { readonly name: string };
    readonly results: readonly {
      readonly id: string;
      readonly score: number;
      readonly copy: string;
    }[];
  };
  assert.equal(exported.encoder, answered.encoder.name);
  for (const [at, { id, score, copy }] of answered.results.entries()) {
    assert.deepEqual([exported.results[at]?.id, exported.results[at]?.copy], [id, copy]);
    assert.ok(Math.abs(exported.results[at]!.score - score) < 1e-6);
  }

  await cards(page).first().focus();
  await page.keyboard.press('x');
  const csv = await save(selection(page).getByRole('button', { name: 'Export 1 results as CSV' }));
  const [head, row, ...rest] = csv.text.split('\r\n');
  assert.match(csv.name, /\.csv$/);
  assert.match(head ?? '', /^\uFEFFid,fileName,score,copy,probability,similar,/);
  assert.equal(row?.split(',')[0], ids[0]);
  assert.deepEqual(rest, ['']);
  assert.deepEqual(faults, []);
  await close();
});

test('under the slider the query covers the result as far as the line; flicker shows one or the other', {
  skip,
}, async () => {
  const { page, faults, close } = await open('/?id=dress-06.jpg&open=dress-07.jpg&view=slider');
  const slider = page.getByRole('slider', { name: /How much of your picture/ });
  await slider.waitFor();
  const covered = (): Promise<unknown> => page.evaluate(`document.querySelector('.layer + .layer').style.clipPath`);
  assert.equal(await covered(), 'inset(0px 50% 0px 0px)');
  await slider.fill('80');
  assert.equal(await covered(), 'inset(0px 20% 0px 0px)');
  const [query, result] = (
    await page.locator('.layer img').evaluateAll((images) => images.map((image) => image.getAttribute('src')))
  ).reverse();
  assert.match(query ?? '', /dress-06/);
  assert.match(result ?? '', /dress-07/);

  await page.getByRole('button', { name: 'Flicker' }).click();
  await page.getByRole('button', { name: 'Stop' }).click();
  const shown = async (): Promise<string> => {
    const layers = (await page.evaluate(
      `[...document.querySelectorAll('.layer')].filter((layer) => layer.style.visibility !== 'hidden').map((layer) => layer.querySelector('img').src)`,
    )) as string[];
    assert.equal(layers.length, 1);
    return layers[0]!;
  };
  const before = await shown();
  await page.getByRole('button', { name: /^(Your picture|The result)$/ }).click();
  assert.notEqual(await shown(), before);
  assert.deepEqual(faults, []);
  await close();
});

test('a lasso on the map selects pictures, which can be tagged and searched with', { skip }, async () => {
  const { page, faults, close } = await open('/?page=map');
  await page.locator('canvas.map').waitFor({ timeout: 120_000 });
  await page.getByRole('button', { name: 'Lasso' }).click();
  const { x, y, width, height } = (await page.locator('canvas.map').boundingBox())!;
  const left = (await (await fetch(`${stage.service.url}/map`)).json()) as {
    readonly points: readonly { id: string; x: number }[];
  };
  const inside = left.points.filter((point) => point.x < 0.5).map(({ id }) => id);
  assert.ok(inside.length > 0 && inside.length < left.points.length);
  const corners = [
    [0, 0],
    [0.5, 0],
    [0.5, 1],
    [0, 1],
    [0, 0], // Ends where it began, yet is no click.
  ] as const;
  const go = (across: number, down: number) =>
    page.mouse.move(x + EDGE + across * (width - 2 * EDGE), y + EDGE + down * (height - 2 * EDGE), { steps: 3 });
  await go(0, 0);
  await page.mouse.down();
  for (const [across, down] of corners) await go(across, down);
  await page.mouse.up();
  const caught = page.getByRole('region', { name: 'Pictures in the lasso' });
  await caught
    .getByRole('heading', { name: new RegExp(`^${inside.length === 1 ? 'One' : inside.length} picture`) })
    .waitFor();
  const named = await caught.getByRole('link').evaluateAll((links) => links.map((link) => link.getAttribute('title')));
  assert.deepEqual(named.sort(), inside.toSorted());

  await caught.getByRole('button', { name: 'Tag' }).click();
  const tags = page.getByLabel(/^Add tags to/);
  await tags.fill('left half');
  await tags.press('Enter');
  await page.getByText(`${inside.length} tagged.`).waitFor();
  for (const { id } of left.points) {
    assert.equal(JSON.stringify((await tagsOf(id)) ?? []).includes('left half'), inside.includes(id), id);
  }
  await caught.getByRole('button', { name: 'More like these' }).click();
  await settled(page);
  assert.match(page.url(), /id=.+/);
  assert.deepEqual(faults, []);
  await close();
});
