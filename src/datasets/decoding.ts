/** Decoding of picture files for training and evaluation, by the service's own decoder processes. */
import { createDecoderPool } from '../images/decoding/decoder-pool.js';
import type { Pixels } from '../images/pixels.js';
import type { Preprocessing } from '../images/preprocessing.js';

/** Bytes of an image file to pixels of one preprocessing. Rejects with a SearchError. */
export type Decode = (bytes: Uint8Array) => Promise<Pixels>;

/** `close` ends the decoder processes; a later `decode` starts them again. */
export type Decoding = { readonly decode: Decode; close(): Promise<void> };

/**
 * Decoding to the preprocessing's size. Its processes start with the first image: packed pixels and CIFAR-10 need none.
 */
export function openDecoding(preprocessing: Preprocessing): Decoding {
  let pool: ReturnType<typeof createDecoderPool> | undefined;
  return {
    decode: async (bytes) => {
      pool ??= createDecoderPool({ preprocessing, niceness: 5 });
      return (await pool.decode(bytes, { thumbnail: false })).image.pixels;
    },
    close: async () => {
      const started = pool;
      pool = undefined;
      await started?.close();
    },
  };
}
