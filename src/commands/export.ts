import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Catalogue } from '../catalogue/catalogue.js';
import { openCatalogue } from '../catalogue/open-catalogue.js';
import { readSavedEncoder } from '../encoder/saved-encoder.js';
import { SETTINGS } from '../settings.js';

/** Flags of `likeness export`. */
export type ExportFlags = {
  readonly data: string;
  readonly model?: string;
  readonly collection: string;
  readonly embeddings: boolean;
  readonly out?: string;
};

const PAGE_SIZE = 500;

/** Writes one JSON line a record, in order of commit, so that what users put in they can take out. Returns the exit code. */
export async function runExport(flags: ExportFlags): Promise<number> {
  const { manifest } = await readSavedEncoder(flags.model ?? SETTINGS.model.default);
  const catalogue = await openCatalogue({ folder: flags.data, encoderId: manifest.id, dimensions: manifest.dimensions });
  try {
    const lines = Readable.from(recordLines(catalogue, flags));
    // Standard output stays open: the process has more to say after an export.
    if (flags.out === undefined) await pipeline(lines, process.stdout, { end: false });
    else await pipeline(lines, createWriteStream(flags.out));
    return 0;
  } finally {
    await catalogue.close();
  }
}

async function* recordLines(catalogue: Catalogue, { collection, embeddings }: ExportFlags): AsyncGenerator<string> {
  let cursor: string | undefined;
  do {
    const page = await catalogue.list(collection, { limit: PAGE_SIZE, ...(cursor !== undefined && { cursor }) });
    for (const { sha256, perceptualHash, addedAt, updatedAt, ...record } of page.items) {
      const embedding = embeddings ? await catalogue.embedding(collection, record.id) : undefined;
      const line = {
        ...record,
        sha256: Buffer.from(sha256).toString('hex'),
        perceptualHash: Buffer.from(perceptualHash).toString('hex'),
        addedAt: new Date(addedAt).toISOString(),
        updatedAt: new Date(updatedAt).toISOString(),
        ...(embedding !== undefined && { embedding: Array.from(embedding) }),
      };
      yield `${JSON.stringify(line)}\n`;
    }
    cursor = page.nextCursor;
  } while (cursor !== undefined);
}
