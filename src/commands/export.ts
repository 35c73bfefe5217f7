import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { readRecords } from '../catalogue/records/record-store.js';

/** Flags of `likeness export`. */
type ExportFlags = {
  readonly data: string;
  readonly collection: string;
  readonly embeddings: boolean;
  readonly out?: string;
};

/**
 * Writes one JSON line per record, in order of commit. Opens the folder read-only: its graphs, its format and its
 * reserve stay as they are. Returns the exit code: 1 where damaged records were left out.
 */
export async function runExport(flags: ExportFlags): Promise<number> {
  let damaged = 0;
  const lines = Readable.from(
    recordLines(flags, (message) => {
      damaged++;
      console.error(message);
    }),
  );
  // Standard output stays open: the process has more to say after an export.
  if (flags.out === undefined) await pipeline(lines, process.stdout, { end: false });
  else await pipeline(lines, createWriteStream(flags.out));
  return damaged === 0 ? 0 : 1;
}

function* recordLines(
  { data, collection, embeddings }: ExportFlags,
  onWarning: (message: string) => void,
): Generator<string> {
  for (const { record, embedding } of readRecords(data, collection, onWarning)) {
    const { sha256, perceptualHash, addedAt, updatedAt, ...rest } = record;
    const line = {
      ...rest,
      sha256: Buffer.from(sha256).toString('hex'),
      perceptualHash: Buffer.from(perceptualHash).toString('hex'),
      addedAt: new Date(addedAt).toISOString(),
      updatedAt: new Date(updatedAt).toISOString(),
      ...(embeddings && embedding !== undefined && { embedding: Array.from(embedding) }),
    };
    yield `${JSON.stringify(line)}\n`;
  }
}
