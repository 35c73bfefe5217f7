import { createCipheriv, createDecipheriv, createHash } from 'node:crypto';

/** Cipher of one block, without an initial vector: every cursor is one block, and the same place has the same cursor. */
const CIPHER = 'aes-128-ecb';
const BLOCK_BYTES = 16;

/**
 * Places in a listing as opaque text. A place is a sequence number, which counts the commits of all collections together; in the clear it would tell
 * who lists one collection how much is written to the others. The key is made of the catalogue's own id, so that cursors outlive a restart.
 */
export class PageCursors {
  readonly #key: Buffer;

  /** `secret` is the catalogue's id, which no reader learns. */
  constructor(secret: string) {
    this.#key = createHash('sha256').update(`page cursors of ${secret}`).digest().subarray(0, BLOCK_BYTES);
  }

  /** 22 characters of base64url. */
  seal(sequence: number): string {
    const block = Buffer.alloc(BLOCK_BYTES);
    block.writeBigUInt64LE(BigInt(sequence));
    const cipher = createCipheriv(CIPHER, this.#key, null).setAutoPadding(false);
    return Buffer.concat([cipher.update(block), cipher.final()]).toString('base64url');
  }

  /** The sequence, or undefined for what was never sealed: the rest of the block is not zero then. */
  open(cursor: string): number | undefined {
    const sealed = Buffer.from(cursor, 'base64url');
    if (sealed.length !== BLOCK_BYTES) return undefined;
    const decipher = createDecipheriv(CIPHER, this.#key, null).setAutoPadding(false);
    const block = Buffer.concat([decipher.update(sealed), decipher.final()]);
    const sequence = Number(block.readBigUInt64LE());
    return block.subarray(8).every((byte) => byte === 0) && Number.isSafeInteger(sequence) ? sequence : undefined;
  }
}
