/** The example page on an origin of its own: a visitor drops a picture into the element and chooses a result. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { demoPicture, launchBrowser, openStage, WITHOUT_BROWSER } from '../page/browser.js';
import { REPOSITORY } from '../service-process.js';

test('a visitor finds and chooses a product', { skip: WITHOUT_BROWSER }, async (context) => {
  let html = '';
  const host = createServer((_request, response) => response.setHeader('content-type', 'text/html').end(html));
  host.listen(0, '127.0.0.1');
  await once(host, 'listening');
  context.after(() => host.close());
  const origin = `http://127.0.0.1:${(host.address() as AddressInfo).port}`;

  const stage = await openStage({ folders: ['shoes'], flags: ['--cors-origins', origin] });
  context.after(() => stage.close());
  const example = readFileSync(join(REPOSITORY, 'examples', 'browser', 'index.html'), 'utf8');
  html = example.replace('http://127.0.0.1:8080', stage.service.url);
  assert.notEqual(html, example);

  const browser = await launchBrowser();
  context.after(() => browser.close());
  const page = await browser.newPage();
  page.setDefaultTimeout(120_000);
  await page.goto(origin);
  const picture = readFileSync(demoPicture('shoes/shoes-01.jpg')).toString('base64');
  await page.evaluate(`(async () => {
    const element = document.querySelector('likeness-search');
    await customElements.whenDefined('likeness-search');
    const bytes = Uint8Array.from(atob(${JSON.stringify(picture)}), (letter) => letter.charCodeAt(0));
    await element.search(new Blob([bytes], { type: 'image/jpeg' }));
    element.shadowRoot.querySelector('[part~=result]').click();
  })()`);
  await page.getByText(/^You chose shoes-01\.jpg$/).waitFor();
});
