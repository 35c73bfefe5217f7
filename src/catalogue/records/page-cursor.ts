import { createCipheriv, createDecipheriv, createHash } from 'node:crypto';

/** Each cursor is one block, so no initial vector is needed, and equal positions have equal cursors. */
const CIPHER = 'aes-128-ecb';
const BLOCK_BYTES = 16;

/**
 * Encrypts positions in a listing. A position is a sequence number, which counts the commits of all collections: in
 * plain text it would tell a tenant how much others write. (The id of the last row would not do: it may be removed
 * before the next page is asked for.) The key is derived from the catalogue's id, so that cursors stay valid after
 * a restart.
 */
export class PageCursors {
  readonly #key: Buffer;

  /** `secret`: the catalogue's id, which no reader learns. */
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

  /** The sequence; undefined for text that `seal` never returned: the rest of its block is not zero. */
  open(cursor: string): number | undefined {
    const sealed = Buffer.from(cursor, 'base64url');
    if (sealed.length !== BLOCK_BYTES) return undefined;
    const decipher = createDecipheriv(CIPHER, this.#key, null).setAutoPadding(false);
    const block = Buffer.concat([decipher.update(sealed), decipher.final()]);
    const sequence = Number(block.readBigUInt64LE());
    return block.subarray(8).every((byte) => byte === 0) && Number.isSafeInteger(sequence) ? sequence : undefined;
  }
}
