/** `npx vite src/page`: the page with hot reload before a running service. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createServer, type ViteDevServer } from 'vite';
import { REPOSITORY } from '../service-process.js';
import { demoPicture, giveFiles, openPage, openStage, type Stage, WITHOUT_BROWSER } from './browser.js';

const skip = WITHOUT_BROWSER;
let stage: Stage;
let vite: ViteDevServer;
before(async () => {
  if (skip) return;
  stage = await openStage({ folders: ['hat'] });
  process.env.LIKENESS_URL = stage.service.url; // Read by src/page/vite.config.ts.
  vite = await createServer({
    root: join(REPOSITORY, 'src', 'page'),
    server: { port: 0, strictPort: false },
    logLevel: 'warn',
  });
  await vite.listen();
});
after(async () => {
  await vite?.close();
  await stage?.close();
});

test('the development server serves the page and forwards its requests to the service', { skip }, async () => {
  const { page, faults, close } = await openPage(stage.browser, vite.resolvedUrls!.local[0]!);
  await page.getByRole('heading', { name: /start from one of 20 pictures/i }).waitFor();
  await giveFiles(page, { how: 'drop', target: 'main', paths: [demoPicture('hat/hat-02.jpg')] });
  await page.locator('.group.identical [data-card="hat-02.jpg"]').waitFor();
  assert.deepEqual(faults, []);
  await close();
});
