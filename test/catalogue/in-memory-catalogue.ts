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
import type { CheckedImage } from '../../src/catalogue/catalogue-requests.js';
import { compileFilter } from '../../src/catalogue/filters/filter-match.js';
import {
  checkCollectionName,
  checkedKnownFile,
  checkedNewImage,
  checkedPage,
  checkedQuery,
  checkedSample,
  type InputLimits,
} from '../../src/catalogue/records/checked-input.js';
import { mergePatch, metadataToJson } from '../../src/catalogue/records/metadata.js';
import { PageCursors } from '../../src/catalogue/records/page-cursor.js';
import { ExactIndex } from '../../src/catalogue/vectors/exact-index.js';
import { SearchError } from '../../src/errors.js';

type Stored = { record: ImageRecord; readonly image: CheckedImage };
type Collection = { readonly index: ExactIndex; readonly images: Map<ImageId, Stored> };

/**
 * The catalogue's contract in the plainest way: maps and the exact index. The reference that the durable one is
 * compared with.
 */
export function inMemoryCatalogue(limits: InputLimits): Catalogue {
  const { dimensions, maxMetadataBytes } = limits;
  const collections = new Map<string, Collection>();
  const cursors = new PageCursors('in memory');
  let lastSequence = 0;
  let isClosed = false;

  const open = (name: string): Collection => {
    if (isClosed) throw new SearchError('SHUTTING_DOWN', 'The catalogue is closed.');
    checkCollectionName(name);
    return collections.get(name) ?? { index: new ExactIndex(dimensions), images: new Map() };
  };
  const sorted = ({ images }: Collection): Stored[] =>
    [...images.values()].sort((a, b) => a.record.sequence - b.record.sequence);
  const sameBytes = (collection: Collection, sha256: Uint8Array): Stored[] =>
    sorted(collection).filter(({ record }) => Buffer.compare(record.sha256, sha256) === 0);

  const add = (name: string, image: CheckedImage, embedding: Float32Array): AddResult => {
    const collection = open(name);
    const { sha256, metadataJson } = image;
    const same = (image.id === undefined ? undefined : collection.images.get(image.id)) ?? undefined;
    const twin = image.id === undefined ? sameBytes(collection, sha256)[0] : undefined;
    const former = twin ?? same;
    if (former !== undefined && Buffer.compare(former.record.sha256, sha256) === 0) {
      const { id } = former.record;
      if (!image.replace || metadataJson === undefined || metadataJson === JSON.stringify(former.record.metadata))
        return { id, status: 'exists' };
      former.record = { ...former.record, metadata: JSON.parse(metadataJson), updatedAt: Date.now() };
      return { id, status: 'updated' };
    }
    const digits = Buffer.from(sha256).toString('hex');
    const lengths = [32, 40, 48, 56, 64];
    const free = lengths.map((length) => digits.slice(0, length) as ImageId).find((id) => !collection.images.has(id));
    const id = image.id ?? free!;
    if (former !== undefined && !image.replace) throw new SearchError('ID_EXISTS', `${id} exists.`);
    if (former !== undefined) collection.index.remove(former.record.sequence);
    const now = Date.now();
    const sequence = ++lastSequence as Sequence;
    const { perceptualHash, perceptualHashQuality: quality, format, width, height, bytes, fileName } = image;
    const record = {
      ...{ id, sequence, metadata: JSON.parse(metadataJson ?? '{}'), sha256, perceptualHash },
      ...(quality === undefined ? {} : { perceptualHashQuality: quality }),
      ...{ format, width, height, bytes, fileName, hasOriginal: image.original !== undefined },
      ...{ addedAt: former?.record.addedAt ?? now, updatedAt: now },
    };
    collection.images.set(id, { record, image });
    collection.index.add(sequence, embedding);
    collections.set(name, collection);
    return { id, status: former === undefined ? 'added' : 'replaced' };
  };

  return {
    async add(name: string, given: NewImage): Promise<AddResult> {
      open(name);
      const image = checkedNewImage(given, limits);
      return add(name, image, image.embedding);
    },
    async addKnown(name, given) {
      const twin = sameBytes(open(name), given.sha256)[0];
      const known = checkedKnownFile(given, limits);
      return twin === undefined ? undefined : add(name, { ...twin.image, ...known }, twin.image.embedding);
    },
    async findBySha256(name, sha256) {
      return sameBytes(open(name), sha256)[0]?.record.id;
    },
    async remove(name, id) {
      const { images, index } = open(name);
      const stored = images.get(id);
      if (stored === undefined) return false;
      index.remove(stored.record.sequence);
      return images.delete(id);
    },
    async removeCollection(name) {
      open(name);
      return collections.delete(name);
    },
    async patchMetadata(name, id, patch) {
      const stored = open(name).images.get(id);
      if (stored === undefined) return undefined;
      const metadata = mergePatch(stored.record.metadata, patch);
      metadataToJson(metadata, maxMetadataBytes);
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
      const { limit, cursor } = checkedPage(page);
      const after = cursor === undefined ? 0 : cursors.open(cursor);
      if (after === undefined) throw new SearchError('INVALID_REQUEST', 'The cursor is not one that a page gave.');
      const all = sorted(open(name)).map(({ record }) => record);
      const rest = all.filter(
        ({ sequence, metadata }) =>
          sequence > after && (page.filter === undefined || compileFilter(page.filter)(metadata)),
      );
      const items = rest.slice(0, limit);
      return { items, nextCursor: rest.length > limit ? cursors.seal(items.at(-1)!.sequence) : undefined };
    },
    async neighbours(query: NeighbourQuery): Promise<Neighbour[]> {
      const collection = open(query.collection);
      const { embedding, k, filter, minSimilarity = -1 } = checkedQuery(query, dimensions);
      const bySequence = new Map<number, ImageRecord>(
        sorted(collection).map(({ record }) => [record.sequence, record]),
      );
      const accepts = (label: number): boolean =>
        filter === undefined || compileFilter(filter)(bySequence.get(label)!.metadata);
      const matches = collection.index
        .search(embedding, k, { accepts })
        .filter(({ similarity }) => similarity >= minSimilarity);
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
      const ofBytes = query.sha256 === undefined ? [] : sameBytes(collection, query.sha256).slice(0, k);
      const twins = ofBytes.map(({ record }) => record).filter(({ sequence }) => accepts(sequence));
      const further = [...new Set([...twins, ...byHash])].filter(({ sequence }) => !known.has(sequence));
      const scored = collection.index.searchAmong(
        embedding,
        Math.max(1, further.length),
        further.map(({ sequence }) => sequence),
      );
      const rank = (label: number): number => {
        const { perceptualHash, perceptualHashQuality = 0 } = bySequence.get(label)!;
        if (twins.some(({ sequence }) => sequence === label)) return 0;
        const isSame = (query.nearHash?.hashes ?? []).some((hash) => bitsApart(hash, perceptualHash) === 0);
        return isSame && perceptualHashQuality >= 50 ? 1 : 2;
      };
      const found = [...matches, ...scored.filter(({ similarity }) => similarity >= minSimilarity)];
      found.sort((a, b) => rank(a.label) - rank(b.label) || b.similarity - a.similarity || a.label - b.label);
      return found.map(({ label, similarity }) => {
        const {
          id,
          metadata,
          fileName,
          sequence,
          sha256,
          perceptualHash,
          perceptualHashQuality = null,
          hasOriginal,
        } = bySequence.get(label)!;
        const vector = query.withEmbedding === true ? collection.index.vector(label)?.slice() : undefined;
        return {
          id,
          metadata,
          fileName,
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
    async changesSince(name, { sequences, since }) {
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
