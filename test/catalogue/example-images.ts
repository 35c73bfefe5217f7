import { createHash } from 'node:crypto';
import type { ImageId, Metadata, NewImage } from '../../src/catalogue/catalogue.js';
import type { CheckedImage } from '../../src/catalogue/catalogue-requests.js';
import { checkedNewImage } from '../../src/catalogue/records/checked-input.js';

/** The text as an image id, where a test writes one down. */
export function imageId(text: string): ImageId {
  return text as ImageId;
}

/** A new image whose bytes are named by `content`: the same content is the same file. Everything else can be set. */
export function newImage(content: string, embedding: Float32Array, given: Partial<NewImage> = {}): NewImage {
  const sha256 = new Uint8Array(createHash('sha256').update(content).digest());
  const metadata: Metadata = { content };
  return {
    ...{
      id: undefined,
      metadata,
      sha256,
      perceptualHash: sha256.slice().reverse(),
      format: 'jpeg',
      width: 640,
      height: 480,
    },
    ...{
      bytes: content.length,
      fileName: `${content}.jpg`,
      embedding,
      thumbnail: thumbnailOf(content),
      original: undefined,
      replace: false,
    },
    ...given,
  };
}

/** {@link newImage} as the engine takes it. */
export function checkedImage(...args: Parameters<typeof newImage>): CheckedImage {
  return checkedNewImage(newImage(...args), { dimensions: args[1].length, maxMetadataBytes: 65_536 });
}

/** The thumbnail of {@link newImage}: 8 KiB made of the content, so that a mixed-up or half-written one shows. */
export function thumbnailOf(content: string): Uint8Array {
  return new Uint8Array(Buffer.alloc(8192, `${content}|`));
}
