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
  /** How the file is to be turned, as in EXIF: 1 (upright) to 8. What is made of it here is upright already. */
  readonly orientation: number;
  /** Input of the encoder, at the size its preprocessing asks for. */
  readonly pixels: Pixels;
  /** SHA-256 of the uploaded bytes, 32 bytes. */
  readonly sha256: Uint8Array;
  /** PDQ, 32 bytes (perceptual-hash.ts). */
  readonly perceptualHash: Uint8Array;
  /** 0..100; the hash of a picture without detail says little (below 50). */
  readonly perceptualHashQuality: number;
  /** WebP without any metadata; undefined where the request said `thumbnail: false`. */
  readonly thumbnail: Uint8Array | undefined;
  /** The views that the request named, in its order; absent where it named none. */
  readonly views?: readonly DecodedView[];
  /** Where the request asked for them. */
  readonly traits?: CopyTraits;
};

/** By what edited copies of a picture are found and verified: its hashes turned and mirrored, and its sketch. */
export type CopyTraits = { readonly hashes: DihedralHashes; readonly sketch: Sketch };

/** The same picture turned or mirrored, ready to be encoded and compared. */
export type DecodedView = { readonly view: DihedralVariant; readonly pixels: Pixels; readonly perceptualHash: Uint8Array };

/** What a caller may ask of one decode. `deadline` is in milliseconds of `performance.now()`. */
export type DecodeRequest = {
  readonly thumbnail: boolean;
  /** Pixels, hash and thumbnail are to be of this part of the picture; width, height and SHA-256 stay the whole's. Checked by checkedRegion. */
  readonly crop?: Region | undefined;
  /** Turns and mirrors of the picture (of its crop) that are wanted besides. */
  readonly views?: readonly DihedralVariant[] | undefined;
  /** {@link CopyTraits} are wanted. */
  readonly traits?: boolean | undefined;
  readonly deadline?: number;
  readonly signal?: AbortSignal;
};

/** Time one decode waited for a decoder and took in it, in milliseconds. */
export type DecodeTimes = { readonly queueMs: number; readonly decodeMs: number };

/**
 * Bytes to pixels. Rejects with a SearchError: UNSUPPORTED_FORMAT, HEIC_NOT_SUPPORTED, UNREADABLE_IMAGE, IMAGE_TOO_LARGE,
 * DECODE_TIMEOUT, DECODER_FAILED (the decoder died; only this image is lost), OVERLOADED (queue full), DEADLINE_EXCEEDED, SHUTTING_DOWN.
 */
export interface ImageDecoder {
  decode(bytes: Uint8Array, request: DecodeRequest): Promise<{ readonly image: DecodedImage; readonly times: DecodeTimes }>;
  /** For /metrics. `restarts` counts decoders that died or were killed since the start. */
  readonly statistics: { readonly queued: number; readonly active: number; readonly restarts: number };
  close(): Promise<void>;
}
