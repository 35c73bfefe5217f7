/**
 * Pictures whose class is their texture and nothing else: gratings of eight orientations and frequencies, of any phase,
 * colour and contrast.
 */
import { type ImageDataset, pixelDataset } from '../../src/datasets/image-dataset.js';
import type { Pixels } from '../../src/images/pixels.js';
import { randomStream } from '../../src/seeded-random.js';

export const TEXTURE_SIDE = 16;
const ORIENTATIONS = [0, Math.PI / 4, Math.PI / 2, (3 * Math.PI) / 4];
const PERIODS = [4, 8];

/**
 * `count` pictures, classes by turns. Colour says nothing of the class, so whoever compares colours is at chance (1
 * in 8).
 */
export function textures(count: number, seed: number): ImageDataset {
  const images: Pixels[] = [];
  const labels: number[] = [];
  for (let index = 0; index < count; index++) {
    const label = index % (ORIENTATIONS.length * PERIODS.length);
    labels.push(label);
    images.push(texture(label, randomStream(seed, 'texture', index)));
  }
  return pixelDataset({
    name: 'textures',
    images,
    labels,
    classes: Array.from({ length: 8 }, (_, label) => `texture ${label}`),
  });
}

function texture(label: number, random: () => number): Pixels {
  const angle = ORIENTATIONS[label % ORIENTATIONS.length]! + (random() - 0.5) * 0.2;
  const period = PERIODS[Math.floor(label / ORIENTATIONS.length)]! * (0.9 + 0.2 * random());
  const phase = 2 * Math.PI * random();
  const [dark, light] = [0, 1].map(() => [255 * random(), 255 * random(), 255 * random()]);
  const rgb = new Uint8Array(TEXTURE_SIDE * TEXTURE_SIDE * 3);
  for (let y = 0; y < TEXTURE_SIDE; y++) {
    for (let x = 0; x < TEXTURE_SIDE; x++) {
      const wave = 0.5 + 0.5 * Math.sin((2 * Math.PI * (x * Math.cos(angle) + y * Math.sin(angle))) / period + phase);
      for (let channel = 0; channel < 3; channel++) {
        const value = dark![channel]! + wave * (light![channel]! - dark![channel]!) + 40 * (random() - 0.5);
        rgb[(y * TEXTURE_SIDE + x) * 3 + channel] = Math.min(255, Math.max(0, value));
      }
    }
  }
  return { width: TEXTURE_SIDE, height: TEXTURE_SIDE, rgb };
}
