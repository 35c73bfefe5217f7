/**
 * What each stage costs beside the bare library that does its work: decode (sharp), encode (ONNX Runtime), search
 * (hnswlib), commit (better-sqlite3). In turn on one machine; ratios are ours over bare, with queues, processes and
 * threads between included.
 */
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import hnswlib from 'hnswlib-node';
import sharp from 'sharp';
import type { NewImage } from '../src/catalogue/catalogue.js';
import { openCatalogue } from '../src/catalogue/open-catalogue.js';
import { openOnnxRuntime } from '../src/encoder/onnx-runtime.js';
import { openEncoder } from '../src/encoder/open-encoder.js';
import { readSavedEncoder } from '../src/encoder/saved-encoder.js';
import { createDecoderPool } from '../src/images/decoding/decoder-pool.js';
import type { Pixels } from '../src/images/pixels.js';
import { SETTINGS } from '../src/settings.js';
import { cifarEmbeddings } from './cifar-embeddings.js';
import { compare, show, tableHead, tableRow } from './measuring.js';
import { readPhotos } from './photographs.js';

const SEARCHED = 20_000;
const THUMBNAIL_BYTES = 8192;

const saved = await readSavedEncoder(SETTINGS.model.default);
const { preprocessing, dimensions, id } = saved.manifest;
const work = await mkdtemp(join(tmpdir(), 'likeness-stages-'));
const photos = await readPhotos(100);
let turn = 0;
const next = <T>(items: readonly T[]): T => items[turn++ % items.length]!;

console.log('## Stages against the bare libraries\n');
console.log(`Encoder ${saved.manifest.name}; medians [least-greatest] of runs in turn.\n`);
console.log(tableHead('stage', 'ours, ms', 'bare library, ms', 'ours / bare'));
try {
  const pixels = await benchDecode();
  await benchEncode(pixels);
  await benchCatalogue();
} finally {
  await rm(work, { recursive: true, force: true });
}

async function benchDecode(): Promise<Pixels[]> {
  sharp.cache(false);
  sharp.concurrency(1);
  const pool = createDecoderPool({ preprocessing, processes: 1 });
  await pool.ready();
  const { width, height } = preprocessing;
  const bare = async (thumbnail: boolean): Promise<void> => {
    const image = sharp(next(photos), { failOn: 'warning' }).autoOrient().toColourspace('srgb').removeAlpha();
    await image.clone().resize(width, height, { fit: 'fill' }).raw().toBuffer();
    if (thumbnail) await image.clone().resize(256, 256, { fit: 'inside', withoutEnlargement: true }).webp().toBuffer();
  };
  const query = () => pool.decode(next(photos), { thumbnail: false });
  report('decode, for a search', await compare({ ours: query, bare: () => bare(false) }));
  report(
    'decode, with a thumbnail',
    await compare({ ours: () => pool.decode(next(photos), { thumbnail: true }), bare: () => bare(true) }),
  );
  const pixels = await Promise.all(
    photos.map(async (photo) => (await pool.decode(photo, { thumbnail: false })).image.pixels),
  );
  await pool.close();
  return pixels;
}

async function benchEncode(pixels: readonly Pixels[]): Promise<void> {
  const encoder = await openEncoder({ folder: SETTINGS.model.default, device: 'cpu', threads: 1 });
  const runtime = await openOnnxRuntime(saved, { device: 'cpu', threads: 1 });
  for (const count of [1, 32]) {
    const batch = new Float32Array(count * 3 * preprocessing.width * preprocessing.height);
    const ours = (): Promise<unknown> =>
      Promise.all(Array.from({ length: count }, () => encoder.encode(next(pixels), {})));
    report(`encode, ${count} at once`, await compare({ ours, bare: () => runtime.run(batch, count) }));
  }
  await encoder.close();
  await runtime.close();
}

async function benchCatalogue(): Promise<void> {
  const embeddings = await cifarEmbeddings('train', SEARCHED);
  const queries = await cifarEmbeddings('test', 1000);
  const catalogue = await openCatalogue({ folder: join(work, 'catalogue'), encoderId: id, dimensions });
  const graph = new hnswlib.HierarchicalNSW('ip', dimensions);
  graph.initIndex(SEARCHED, 16, 200);
  graph.setEf(64);
  await Promise.all(
    embeddings.map((embedding, index) => (index < 1000 ? catalogue.add('default', newImage(embedding)) : undefined)),
  );
  for (let from = 1000; from < SEARCHED; from += 500) {
    await Promise.all(
      embeddings.slice(from, from + 500).map((embedding) => catalogue.add('default', newImage(embedding))),
    );
  }
  for (const [label, embedding] of embeddings.entries()) graph.addPoint(Array.from(embedding), label);
  const plain = queries.map((query) => Array.from(query));
  const ours = (): Promise<unknown> => catalogue.neighbours({ collection: 'default', embedding: next(queries), k: 10 });
  report(`search among ${SEARCHED}`, await compare({ ours, bare: () => graph.searchKnn(next(plain), 10) }));

  const database = new Database(join(work, 'bare.db'));
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = FULL');
  database.exec('CREATE TABLE images (sequence INTEGER PRIMARY KEY, embedding BLOB, thumbnail BLOB, metadata TEXT)');
  const insert = database.prepare('INSERT INTO images (embedding, thumbnail, metadata) VALUES (?, ?, ?)');
  const thumbnail = Buffer.alloc(THUMBNAIL_BYTES, 7);
  for (const writers of [1, 64]) {
    const add = (): Promise<unknown> =>
      Promise.all(Array.from({ length: writers }, () => catalogue.add('commits', newImage(next(embeddings)))));
    const bare = database.transaction(() => {
      for (let row = 0; row < writers; row++) {
        const { buffer, byteOffset, byteLength } = next(embeddings); // a view of the buffer of all
        insert.run(Buffer.from(buffer, byteOffset, byteLength), thumbnail, '{}');
      }
    });
    report(`commit, ${writers} at once (graph included)`, await compare({ ours: add, bare }));
  }
  database.close();
  await catalogue.close();
}

function newImage(embedding: Float32Array): NewImage {
  const sha256 = createHash('sha256').update(`image ${turn++} ${Math.random()}`).digest();
  return {
    id: undefined,
    embedding,
    thumbnail: Buffer.alloc(THUMBNAIL_BYTES, 7),
    original: undefined,
    replace: false,
    metadata: {},
    sha256,
    perceptualHash: new Uint8Array(32),
    format: 'jpeg',
    width: 300,
    height: 200,
    bytes: 20_000,
    fileName: null,
  };
}

function report(stage: string, { ours, bare, ratio }: Awaited<ReturnType<typeof compare>>): void {
  console.log(tableRow(stage, show(ours, 3), show(bare, 3), show(ratio)));
}
