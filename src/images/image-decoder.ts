import type { DihedralHashes, DihedralVariant } from './perceptual-hash.js';
import type { Pixels } from './pixels.js';
import type { Region } from './region.js';
import type { Sketch } from './sketch.js';

/** Formats accepted, recognised by content and never by name. */
export type ImageFormat = 'jpeg' | 'png' | 'webp' | 'gif' | 'avif' | 'tiff';

/** Everything one decode yields, so that no image is decoded twice. */
export type DecodedImage = {
  readonly format: ImageFormat;
  /** Size of the upright picture before any scaling. */
  readonly width: number;
  readonly height: number;
  /** EXIF orientation of the file, 1 (upright) to 8. All pixels here are upright already. */
  readonly orientation: number;
  /** Input of the encoder, at the size of its preprocessing. */
  readonly pixels: Pixels;
  /** SHA-256 of the uploaded bytes, 32 bytes. */
  readonly sha256: Uint8Array;
  /** PDQ, 32 bytes (perceptual-hash.ts). */
  readonly perceptualHash: Uint8Array;
  /** 0..100; below 50 the picture has too little detail for its hash to say much. */
  readonly perceptualHashQuality: number;
  /** WebP without any metadata; undefined where the request said `thumbnail: false`. */
  readonly thumbnail?: Uint8Array | undefined;
  /** The views that the request named, in its order; absent where it named none. */
  readonly views?: readonly DecodedView[];
  /** Present where the request asked for them. */
  readonly copyFeatures?: CopyFeatures;
};

/**
 * What edited copies of a picture are found and verified by: the hashes of its turns and mirrors, and its
 * grey thumbnail.
 */
export type CopyFeatures = { readonly hashes: DihedralHashes; readonly sketch: Sketch };

/** The same picture turned or mirrored, ready to be encoded and compared. */
export type DecodedView = {
  readonly view: DihedralVariant;
  readonly pixels: Pixels;
  readonly perceptualHash: Uint8Array;
};

/** What to derive from an image. */
export type DecodeOptions = {
  readonly thumbnail: boolean;
  /**
   * Derive pixels, hash and thumbnail from this part; width, height and SHA-256 stay the whole picture's. Checked
   * by checkedRegion.
   */
  readonly crop?: Region | undefined;
  /** Turns and mirrors of the picture (or of its crop) to derive besides. */
  readonly views?: readonly DihedralVariant[] | undefined;
  readonly copyFeatures?: boolean | undefined;
  /** The bytes' SHA-256 where the caller knows it; otherwise the decoder computes it. */
  readonly sha256?: Uint8Array | undefined;
};

/** One decode. `deadline`: milliseconds of `performance.now()`. */
export type DecodeRequest = DecodeOptions & { readonly deadline?: number; readonly signal?: AbortSignal };

/** An image, with the milliseconds that it waited for a decoder and took in it. */
export type DecodeResult = {
  readonly image: DecodedImage;
  readonly times: { readonly queueMs: number; readonly decodeMs: number };
};

/**
 * Bytes to pixels. Rejects with a SearchError: UNSUPPORTED_FORMAT, HEIC_NOT_SUPPORTED, UNREADABLE_IMAGE,
 * IMAGE_TOO_LARGE, DECODE_TIMEOUT, DECODER_FAILED (the decoder died; only this image is lost), DEADLINE_EXCEEDED,
 * SHUTTING_DOWN.
 */
export interface ImageDecoder {
  decode(bytes: Uint8Array, request: DecodeRequest): Promise<DecodeResult>;
  /** For /metrics. `restarts` counts decoders that died or were killed since the start. */
  readonly statistics: { readonly queued: number; readonly active: number; readonly restarts: number };
  close(): Promise<void>;
}
