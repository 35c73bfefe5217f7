import assert from 'node:assert/strict';
import { test } from 'node:test';
import sharp from 'sharp';
import { attackImage, COPY_ATTACKS, type CopyAttack } from '../../src/images/copy-attacks.js';

const WIDTH = 120;
const HEIGHT = 80;

/** A picture without symmetry: gradients across, down and a bright corner. */
async function picture(): Promise<Uint8Array> {
  const rgb = new Uint8Array(WIDTH * HEIGHT * 3);
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++) {
      const isCorner = x < 30 && y < 20;
      rgb.set(isCorner ? [250, 240, 30] : [40 + x, 60 + y, 90 + ((x * y) % 60)], (y * WIDTH + x) * 3);
    }
  }
  return sharp(rgb, { raw: { width: WIDTH, height: HEIGHT, channels: 3 } })
    .png()
    .toBuffer();
}

async function pixels(bytes: Uint8Array) {
  const { data, info } = await sharp(bytes).raw().toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height, channels: info.channels };
}

test('every attack is a function of bytes and seed, changes the picture and leaves three channels', async () => {
  const original = await picture();
  const before = await pixels(original);
  for (const attack of COPY_ATTACKS) {
    const first = await attackImage({ bytes: original, attack, seed: 3 });
    assert.deepEqual(await attackImage({ bytes: original, attack, seed: 3 }), first, attack);
    const after = await pixels(first);
    assert.equal(after.channels, 3, attack);
    assert.notDeepEqual(after.data, before.data, attack);
  }
});

test('seeded attacks differ by seed, the others do not', async () => {
  const original = await picture();
  const seeded = new Set<CopyAttack>(['crop-90', 'crop-70', 'crop-50', 'text', 'border', 'noise']);
  for (const attack of COPY_ATTACKS) {
    const made = await Promise.all(
      [1, 2, 3].map(async (seed) =>
        Buffer.from(await attackImage({ bytes: original, attack, seed })).toString('base64'),
      ),
    );
    assert.equal(new Set(made).size > 1, seeded.has(attack), attack);
  }
});

test('attacks do what their names say', async () => {
  const bytes = await picture();
  const attacked = async (attack: CopyAttack) => pixels(await attackImage({ bytes, attack, seed: 7 }));
  const original = await pixels(bytes);
  const size = async (attack: CopyAttack) => {
    const { width, height } = await attacked(attack);
    return [width, height];
  };
  assert.deepEqual(await size('half-size'), [60, 40]);
  assert.deepEqual(await size('quarter-turn'), [80, 120]);
  assert.deepEqual(await size('border'), [144, 96]);
  for (const percent of [90, 70, 50] as const) {
    const [width = 0, height = 0] = await size(`crop-${percent}`);
    assert.ok(
      Math.abs((width * height) / (WIDTH * HEIGHT) - percent / 100) < 0.03,
      `crop-${percent}: ${width} x ${height}`,
    );
  }
  const flipped = await attacked('flip');
  const at = (picture: typeof original, x: number, y: number) => [
    ...picture.data.subarray((y * picture.width + x) * 3, (y * picture.width + x) * 3 + 3),
  ];
  assert.deepEqual(at(flipped, 0, 50), at(original, WIDTH - 1, 50));
  const grey = await attacked('grey');
  for (const [x, y] of [
    [5, 5],
    [60, 40],
    [110, 70],
  ] as const)
    assert.equal(new Set(at(grey, x, y)).size, 1);
  const mean = (picture: typeof original) => picture.data.reduce((sum, value) => sum + value, 0) / picture.data.length;
  assert.ok(mean(await attacked('brighter')) > mean(original) * 1.2);
  assert.ok(mean(await attacked('darker')) < mean(original) * 0.7);
  assert.ok(
    (await attackImage({ bytes, attack: 'jpeg-40', seed: 1 })).length <
      (await attackImage({ bytes, attack: 'jpeg-60', seed: 1 })).length,
  );
});

test('a one-pixel picture and one with transparency survive every attack', async () => {
  const dot = await sharp({ create: { width: 1, height: 1, channels: 3, background: 'red' } })
    .png()
    .toBuffer();
  const glass = await sharp({
    create: { width: 9, height: 5, channels: 4, background: { r: 0, g: 0, b: 0, alpha: 0 } },
  })
    .png()
    .toBuffer();
  for (const attack of COPY_ATTACKS) {
    for (const bytes of [dot, glass])
      assert.equal((await pixels(await attackImage({ bytes, attack, seed: 1 }))).channels, 3, attack);
  }
});
