/** axe-core finds nothing serious or critical on any page, light or dark. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import { openPage, openStage, type Stage, WITHOUT_BROWSER } from './browser.js';

const skip = WITHOUT_BROWSER;
let stage: Stage;
before(async () => {
  if (!skip) stage = await openStage({ folders: ['.'] });
});
after(() => stage?.close());

const PAGES = {
  start: '/',
  results: '/?id=shirt/shirt-04.jpg',
  'several examples': '/?id=shirt/shirt-04.jpg&id=shirt/shirt-05.jpg&notId=shirt/shirt-06.jpg',
  'detail view': '/?id=shirt/shirt-04.jpg&open=edited/shirt-04-grey.jpg',
  'nothing found': '/?id=shirt/shirt-04.jpg&collection=nowhere',
  'a picture that is gone': '/?id=missing',
  import: '/?page=import',
  map: '/?page=map',
  status: '/?page=status',
} as const;

type Finding = { readonly id: string; readonly impact: string; readonly nodes: readonly { readonly html: string }[] };
const AXE = skip ? '' : readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

for (const [name, path] of Object.entries(PAGES)) {
  test(`${name}: no serious finding, light and dark`, { skip }, async () => {
    for (const colorScheme of ['light', 'dark'] as const) {
      // The content policy forbids injected scripts; the other tests run under it.
      const options = { colorScheme, bypassCSP: true, mayFail: ['/search', '/images'] };
      const { page, close } = await openPage(stage.browser, stage.service.url + path, options);
      await page.locator('main > *').first().waitFor();
      await page.waitForLoadState('networkidle');
      await page.evaluate(AXE);
      const findings = (await page.evaluate(
        `axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, impact, nodes }) => ({ id, impact, nodes: nodes.slice(0, 3).map(({ html }) => ({ html })) })))`,
      )) as readonly Finding[];
      const serious = findings.filter(({ impact }) => impact === 'serious' || impact === 'critical');
      assert.deepEqual(serious, [], `${colorScheme}: ${JSON.stringify(serious, null, 1)}`);
      await close();
    }
  });
}
