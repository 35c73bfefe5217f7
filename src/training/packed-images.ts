import type { Pixels } from '../images/pixels.js';
import type { PackedDataset } from './packed-dataset.js';

/** The images of a packed dataset in their order, as often as somebody walks over them; one is held at a time. */
export function packedImages(dataset: PackedDataset): Iterable<Pixels> {
  const { width, height, count } = dataset;
  return {
    *[Symbol.iterator]() {
      for (let index = 0; index < count; index++) {
        const rgb = new Uint8Array(width * height * 3);
        dataset.copyImage(index, rgb, 0);
        yield { width, height, rgb };
      }
    },
  };
}
