import { crc32 } from 'node:zlib';
import type { ImageRow } from './store-statements.js';

/**
 * CRC-32 of one large part of an image (embedding, thumbnail or original) as it is stored. Starts from the sequence, so
 * that parts of two images cannot be exchanged unnoticed.
 */
export function partChecksum(sequence: number, bytes: Uint8Array): number {
  return crc32(bytes, sequence);
}

/** CRC-32 of everything else that is stored of an image, the checksums of its parts included. */
export function rowChecksum(row: Omit<ImageRow, 'checksum' | 'hasOriginal'>): number {
  const facts = [
    ...[row.sequence, row.collection, row.id, row.perceptualHashQuality, row.format, row.width, row.height, row.bytes],
    ...[row.fileName, row.addedAt, row.updatedAt, row.metadata],
    ...[row.embeddingChecksum, row.thumbnailChecksum, row.originalChecksum],
  ];
  return crc32(JSON.stringify(facts), crc32(row.perceptualHash, crc32(row.sha256)));
}

/**
 * Whether a record is as it was stored. Stores of a format before 4 have no checksums: their records count as whole.
 */
export function isWholeRow(row: ImageRow, storeVersion: number): boolean {
  return storeVersion < CHECKSUM_VERSION || row.checksum === rowChecksum(row);
}

/** First format of the record store that has checksums. */
export const CHECKSUM_VERSION = 4;
