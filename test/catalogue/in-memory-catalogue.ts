import { createHash } from 'node:crypto';
import type {
  AddResult,
  Catalogue,
  ImageId,
  ImageRecord,
  Neighbour,
  NeighbourQuery,
  NewImage,
  Sequence,
} from '../../src/catalogue/catalogue.js';
import { checkCollectionName, checkedNewImage, checkedPage, checkedQuery, checkedSample } from '../../src/catalogue/checked-input.js';
import { ExactIndex } from '../../src/catalogue/exact-index.js';
import { matchesFilter } from '../../src/catalogue/filter-match.js';
import { mergePatch, metadataToJson } from '../../src/catalogue/metadata.js';
import { PageCursors } from '../../src/catalogue/page-cursor.js';
import { SearchError } from '../../src/errors.js';

type Stored = { record: ImageRecord; readonly image: NewImage };
type Collection = { readonly index: ExactIndex; readonly images: Map<ImageId, Stored> };

/** The catalogue's contract in the plainest way: maps and the exact index. The reference that the durable one is compared with. */
export function inMemoryCatalogue(dimensions: number): Catalogue {
  const collections = new Map<string, Collection>();
  const cursors = new PageCursors('in memory');
  let lastSequence = 0;
  let isClosed = false;

  const open = (name: string): Collection => {
    if (isClosed) throw new SearchError('SHUTTING_DOWN', 'The catalogue is closed.');
    checkCollectionName(name);
    return collections.get(name) ?? { index: new ExactIndex(dimensions), images: new Map() };
  };
  const sorted = ({ images }: Collection): Stored[] => [...images.values()].sort((a, b) => a.record.sequence - b.record.sequence);
  const sameBytes = ({ images }: Collection, sha256: Uint8Array): ImageId | undefined =>
    [...images.values()].find(({ record }) => Buffer.compare(record.sha256, sha256) === 0)?.record.id;

  return {
    async add(name: string, given: NewImage): Promise<AddResult> {
      const collection = open(name);
      const image = checkedNewImage(given, dimensions);
      const existing = sameBytes(collection, image.sha256);
      if (existing !== undefined) return { id: existing, status: 'exists' };
      const digits = Buffer.from(image.sha256).toString('hex');
      const lengths = [32, 40, 48, 56, 64];
      const free = lengths.map((length) => digits.slice(0, length) as ImageId).find((id) => !collection.images.has(id));
      const id = image.id ?? free!;
      const former = collection.images.get(id);
      if (former !== undefined && !image.replace) throw new SearchError('ID_EXISTS', `${id} exists.`);
      if (former !== undefined) collection.index.remove(former.record.sequence);
      const now = Date.now();
      const sequence = ++lastSequence as Sequence;
      const { metadata, sha256, perceptualHash, perceptualHashQuality: quality, format, width, height, bytes, fileName } = image;
      const times = { addedAt: former?.record.addedAt ?? now, updatedAt: now };
      const kept = quality === undefined ? {} : { perceptualHashQuality: quality };
      const original = { hasOriginal: image.original !== undefined };
      const record = {
        id,
        sequence,
        metadata,
        sha256,
        perceptualHash,
        ...kept,
        format,
        width,
        height,
        bytes,
        fileName,
        ...original,
        ...times,
      };
      collection.images.set(id, { record, image });
      collection.index.add(sequence, image.embedding);
      collections.set(name, collection);
      return { id, status: former === undefined ? 'added' : 'replaced' };
    },
    async findBySha256(name, sha256) {
      return sameBytes(open(name), sha256);
    },
    async remove(name, id) {
      const { images, index } = open(name);
      const stored = images.get(id);
      if (stored === undefined) return false;
      index.remove(stored.record.sequence);
      return images.delete(id);
    },
    async patchMetadata(name, id, patch) {
      const stored = open(name).images.get(id);
      if (stored === undefined) return undefined;
      const metadata = mergePatch(stored.record.metadata, patch);
      metadataToJson(metadata);
      stored.record = { ...stored.record, metadata, updatedAt: Date.now() };
      return stored.record;
    },
    async get(name, id) {
      return open(name).images.get(id)?.record;
    },
    async embedding(name, id) {
      return open(name).images.get(id)?.image.embedding;
    },
    async thumbnail(name, id) {
      return open(name).images.get(id)?.image.thumbnail;
    },
    async original(name, id) {
      return open(name).images.get(id)?.image.original;
    },
    async list(name, page) {
      const { limit, after } = checkedPage(page, cursors);
      const all = sorted(open(name)).map(({ record }) => record);
      const rest = all.filter(
        ({ sequence, metadata }) => sequence > after && (page.filter === undefined || matchesFilter(page.filter, metadata)),
      );
      const items = rest.slice(0, limit);
      return { items, nextCursor: rest.length > limit ? cursors.seal(items.at(-1)!.sequence) : undefined };
    },
    async neighbours(query: NeighbourQuery): Promise<Neighbour[]> {
      const collection = open(query.collection);
      const { embedding, k, filter, minSimilarity = -1 } = checkedQuery(query, dimensions);
      const bySequence = new Map<number, ImageRecord>(sorted(collection).map(({ record }) => [record.sequence, record]));
      const accepts = (label: number): boolean => filter === undefined || matchesFilter(filter, bySequence.get(label)!.metadata);
      const matches = collection.index.search(embedding, k, { accepts }).filter(({ similarity }) => similarity >= minSimilarity);
      const known = new Set(matches.map(({ label }) => label));
      const byHash = [...bySequence.values()]
        .map((record) => ({
          record,
          distance: Math.min(...(query.nearHash?.hashes ?? []).map((hash) => bitsApart(hash, record.perceptualHash))),
        }))
        .filter(({ record, distance }) => distance <= (query.nearHash?.maxDistance ?? -1) && accepts(record.sequence))
        .sort((a, b) => a.distance - b.distance || a.record.sequence - b.record.sequence)
        .slice(0, query.nearHash?.limit ?? 0)
        .map(({ record }) => record);
      const ofBytes = query.sha256 === undefined ? undefined : sameBytes(collection, query.sha256);
      const twins = [...bySequence.values()].filter(({ id, sequence }) => id === ofBytes && accepts(sequence));
      const further = [...new Set([...twins, ...byHash])].filter(({ sequence }) => !known.has(sequence));
      const scored = collection.index.searchAmong(
        embedding,
        Math.max(1, further.length),
        further.map(({ sequence }) => sequence),
      );
      return [...matches, ...scored.filter(({ similarity }) => similarity >= minSimilarity)].map(({ label, similarity }) => {
        const { id, metadata, sequence, sha256, perceptualHash, perceptualHashQuality = null, hasOriginal } = bySequence.get(label)!;
        const vector = query.withEmbedding === true ? collection.index.vector(label)?.slice() : undefined;
        return {
          id,
          metadata,
          similarity,
          sequence,
          sha256,
          perceptualHash,
          perceptualHashQuality,
          hasOriginal,
          ...(vector !== undefined && { embedding: vector }),
        };
      });
    },
    async sample(name, query) {
      const { size, seed } = checkedSample(query);
      const { index, images } = open(name);
      const rank = (sequence: number): string => createHash('md5').update(`${seed} ${sequence}`).digest('hex');
      const all = [...images.values()].map(({ record }) => record.sequence);
      const ranked = all.sort((a, b) => (rank(a) < rank(b) ? -1 : 1)).slice(0, size);
      const sequences = ranked.sort((a, b) => a - b);
      const embeddings = Float32Array.from(sequences.flatMap((sequence) => [...index.vector(sequence)!]));
      return { images: images.size, lastSequence, sequences, embeddings };
    },
    async standing(name, { sequences, since }) {
      const records = sorted(open(name)).map(({ record }) => record);
      const ids = sequences.map((sequence) => records.find((record) => record.sequence === sequence)?.id ?? null);
      const added = records.filter(({ sequence }) => sequence > since).length;
      return { images: records.length, lastSequence, added, ids };
    },
    async statistics() {
      const listed = [...collections].map(([name, { index }]) => ({
        name,
        images: index.size,
        indexed: index.size,
        deleted: 0,
        rebuilding: false,
      }));
      listed.sort((a, b) => (a.name < b.name ? -1 : 1));
      return { collections: listed, lastSequence, databaseBytes: 0, walBytes: 0, queued: 0 };
    },
    async saveIndexes() {},
    async close() {
      isClosed = true;
    },
  };
}

function bitsApart(a: Uint8Array, b: Uint8Array): number {
  return a.reduce((sum, byte, at) => sum + (byte ^ b[at]!).toString(2).replaceAll('0', '').length, 0);
}
