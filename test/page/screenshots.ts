/**
 * `npm run screenshots`: the pictures of the page under docs/images, taken in Chromium before a service with the
 * demo pictures.
 */
import { join } from 'node:path';
import type { BrowserContextOptions, Page } from 'playwright-core';
import sharp from 'sharp';
import { REPOSITORY } from '../service-process.js';
import { demoPicture, giveFiles, openPage, openStage, WITHOUT_BROWSER } from './browser.js';

type Shot = {
  readonly name: string;
  readonly path: string;
  readonly options?: BrowserContextOptions;
  readonly act?: (page: Page) => Promise<void>;
};

const DESKTOP = { viewport: { width: 1440, height: 900 } } as const;
const TABLET = { viewport: { width: 820, height: 1180 } } as const;
const PHONE = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 } as const;
const DARK = { colorScheme: 'dark' } as const;

const dropQuery = async (page: Page): Promise<void> => {
  await giveFiles(page, { how: 'drop', target: 'main', paths: [demoPicture('shirt/shirt-04.jpg')] });
  await page.locator('.group.similar [data-card]').first().waitFor();
};
const MAP_READY = async (page: Page): Promise<void> => {
  await page.locator('canvas.map').waitFor({ timeout: 120_000 });
};
const DETAIL = '/?id=shirt/shirt-04.jpg&open=edited/shirt-04-grey.jpg';

const SHOTS: readonly Shot[] = [
  { name: 'page-start', path: '/', options: DESKTOP },
  { name: 'page-results', path: '/', options: DESKTOP, act: dropQuery },
  { name: 'page-results-dark', path: '/', options: { ...DESKTOP, ...DARK }, act: dropQuery },
  { name: 'page-results-tablet', path: '/', options: TABLET, act: dropQuery },
  { name: 'page-results-phone', path: '/', options: PHONE, act: dropQuery },
  { name: 'page-detail', path: DETAIL, options: DESKTOP },
  { name: 'page-detail-phone-dark', path: DETAIL, options: { ...PHONE, ...DARK } },
  { name: 'page-import', path: '/?page=import', options: DESKTOP },
  { name: 'page-map', path: '/?page=map', options: DESKTOP, act: MAP_READY },
  { name: 'page-map-dark', path: '/?page=map', options: { ...DESKTOP, ...DARK }, act: MAP_READY },
  { name: 'page-status', path: '/?page=status', options: DESKTOP },
];
/** Pictures fade in, the map draws them as they come. */
const SETTLE_MS = 1500;

if (WITHOUT_BROWSER !== false) throw new Error(WITHOUT_BROWSER);
const names = process.argv.slice(2);
const stage = await openStage({ folders: ['.'] });
try {
  for (const { name, path, options, act } of SHOTS) {
    if (names.length > 0 && !names.some((part) => name.includes(part))) continue;
    const { page, faults, close } = await openPage(stage.browser, stage.service.url + path, options);
    await act?.(page);
    await page.waitForLoadState('networkidle').catch(() => undefined); // A page that polls is never idle for long.
    await page.waitForTimeout(SETTLE_MS);
    const file = join(REPOSITORY, 'docs', 'images', `${name}.webp`);
    await sharp(await page.screenshot())
      .webp({ quality: 78 })
      .toFile(file);
    console.log(name, faults.length === 0 ? '' : faults);
    await close();
  }
} finally {
  await stage.close();
}
