import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Catalogue, ImageId } from '../../src/catalogue/catalogue.js';
import { parseFilter } from '../../src/catalogue/filters/filter.js';
import { imageId, newImage, thumbnailOf } from './example-images.js';
import { clusteredVectors } from './vectors/synthetic-vectors.js';

/** Elements of an embedding in the contract's tests. */
export const CONTRACT_DIMENSIONS = 32;
/** Limit of metadata in the contract's tests. */
export const CONTRACT_LIMITS = { dimensions: CONTRACT_DIMENSIONS, maxMetadataBytes: 65_536 };
const METADATA_BYTES = CONTRACT_LIMITS.maxMetadataBytes;
const COLLECTION = 'default';

/** What every catalogue must do. `withCatalogue` gives the test an empty one and closes it afterwards. */
export function catalogueContract(
  name: string,
  withCatalogue: (use: (catalogue: Catalogue) => Promise<void>) => Promise<void>,
): void {
  const drawing = (seed = 5): (() => Float32Array) =>
    clusteredVectors({ dimensions: CONTRACT_DIMENSIONS, clusters: 12, seed });
  const test = (title: string, use: (catalogue: Catalogue, draw: () => Float32Array) => Promise<void>): void => {
    it(title, () => withCatalogue((catalogue) => use(catalogue, drawing())));
  };
  const nearest = async (catalogue: Catalogue, embedding: Float32Array, k = 1): Promise<ImageId[]> =>
    (await catalogue.neighbours({ collection: COLLECTION, embedding, k })).map(({ id }) => id);

  describe(`${name} as a catalogue`, () => {
    test('answers emptily about a collection that nothing was added to', async (catalogue, draw) => {
      assert.deepEqual(await catalogue.neighbours({ collection: 'none', embedding: draw(), k: 10 }), []);
      assert.deepEqual(await catalogue.list('none', { limit: 10 }), { items: [], nextCursor: undefined });
      for (const part of ['get', 'embedding', 'thumbnail', 'original'] as const)
        assert.equal(await catalogue[part]('none', imageId('a')), undefined);
      assert.equal(await catalogue.remove('none', imageId('a')), false);
      assert.equal(await catalogue.patchMetadata('none', imageId('a'), {}), undefined);
      assert.equal(await catalogue.findBySha256('none', new Uint8Array(32)), undefined);
      assert.deepEqual((await catalogue.statistics()).collections, []);
    });

    test('gives back everything that was stored of an image, and leaves the caller its buffers', async (catalogue, draw) => {
      const before = Date.now();
      const original = new Uint8Array([1, 2, 3]);
      const image = newImage('a', draw(), {
        id: imageId('first/ä'),
        metadata: { deep: { list: [1, null, 'x'] } },
        original,
      });
      assert.deepEqual(await catalogue.add(COLLECTION, image), { id: 'first/ä', status: 'added' });
      assert.equal(image.thumbnail.length, 8192);
      assert.equal(original.length, 3);
      const record = await catalogue.get(COLLECTION, imageId('first/ä'));
      assert.ok(
        record !== undefined && record.addedAt >= before && record.updatedAt === record.addedAt && record.sequence >= 1,
      );
      const { sequence: _sequence, addedAt: _addedAt, updatedAt: _updatedAt, ...rest } = record;
      const { embedding, thumbnail, original: _original, replace: _replace, ...given } = image;
      assert.deepEqual(rest, { ...given, hasOriginal: true });
      assert.deepEqual(await catalogue.embedding(COLLECTION, record.id), embedding);
      assert.deepEqual(await catalogue.thumbnail(COLLECTION, record.id), thumbnail);
      assert.deepEqual(await catalogue.original(COLLECTION, record.id), new Uint8Array([1, 2, 3]));
      assert.equal(await catalogue.findBySha256(COLLECTION, image.sha256), record.id);
    });

    test('finds each image by the search right after its add, and not after its removal', async (catalogue, draw) => {
      for (let round = 0; round < 200; round++) {
        const embedding = draw();
        const { id } = await catalogue.add(COLLECTION, newImage(`image ${round}`, embedding));
        assert.deepEqual(await nearest(catalogue, embedding), [id]);
        if (round % 2 === 0) continue;
        assert.equal(await catalogue.remove(COLLECTION, id), true);
        assert.ok(!(await nearest(catalogue, embedding, 1000)).includes(id));
        assert.equal(await catalogue.remove(COLLECTION, id), false);
      }
      assert.equal((await catalogue.statistics()).collections[0]?.images, 100);
    });

    test('removes a collection with all its images at once, and begins it anew with the next add', async (catalogue, draw) => {
      const embeddings = Array.from({ length: 100 }, draw);
      const fill = (name: string) =>
        Promise.all(embeddings.map((embedding, place) => catalogue.add(name, newImage(`${place}`, embedding))));
      await Promise.all([fill(COLLECTION), fill('kept')]);
      // Sent together, they are one group of writes: the last add comes after the removal.
      const added = fill('brief');
      const removed = [catalogue.removeCollection(COLLECTION), catalogue.removeCollection('brief')];
      const [again] = await Promise.all([catalogue.add(COLLECTION, newImage('0', draw())), added]);
      assert.deepEqual(await Promise.all(removed), [true, true]);
      assert.equal(again.status, 'added');
      assert.equal(await catalogue.removeCollection('brief'), false);
      const { collections } = await catalogue.statistics();
      assert.deepEqual(
        collections.map(({ name, images }) => [name, images]),
        [
          [COLLECTION, 1],
          ['kept', 100],
        ],
      );
      assert.deepEqual(await nearest(catalogue, embeddings[7]!, 1000), [again.id]);
      assert.equal((await catalogue.list(COLLECTION, { limit: 1000 })).items.length, 1);
    });

    test('takes a sample that is the same for the same seed, and little changed where the collection changed little', async (catalogue, draw) => {
      const ids: ImageId[] = [];
      for (let place = 0; place < 60; place++)
        ids.push((await catalogue.add(COLLECTION, newImage(`${place}`, draw()))).id);
      await catalogue.add('other', newImage('elsewhere', draw()));
      const query = { size: 20, seed: 7 };
      const sample = await catalogue.sample(COLLECTION, query);
      assert.deepEqual(await catalogue.sample(COLLECTION, query), sample);
      assert.notDeepEqual((await catalogue.sample(COLLECTION, { ...query, seed: 8 })).sequences, sample.sequences);
      assert.deepEqual([sample.images, sample.sequences.length], [60, 20]);
      assert.equal(sample.lastSequence, (await catalogue.statistics()).lastSequence);
      assert.deepEqual(
        sample.sequences,
        sample.sequences.toSorted((a, b) => a - b),
      );

      const { ids: known } = await catalogue.changesSince(COLLECTION, { sequences: sample.sequences, since: 0 });
      for (const [row, id] of known.entries()) {
        assert.ok(id !== null && ids.includes(id));
        const at = row * CONTRACT_DIMENSIONS;
        assert.deepEqual(
          sample.embeddings.slice(at, at + CONTRACT_DIMENSIONS),
          await catalogue.embedding(COLLECTION, id),
        );
      }
      assert.equal(new Set(known).size, 20);

      await catalogue.remove(COLLECTION, known[3]!);
      await catalogue.add(COLLECTION, newImage('new', draw()));
      const changes = await catalogue.changesSince(COLLECTION, {
        sequences: sample.sequences,
        since: sample.lastSequence,
      });
      assert.deepEqual(changes, {
        ...{ images: 60, added: 1, lastSequence: sample.lastSequence + 1 },
        ids: known.map((id, place) => (place === 3 ? null : id)),
      });
      const later = new Set<number>((await catalogue.sample(COLLECTION, query)).sequences);
      assert.ok(sample.sequences.filter((sequence) => later.has(sequence)).length >= 18);
      const all = await catalogue.sample(COLLECTION, { size: 10_000, seed: 1 });
      assert.equal(all.embeddings.length, 60 * CONTRACT_DIMENSIONS);
    });

    test('knows no image of another collection by its sequence, and refuses samples beyond their limits', async (catalogue, draw) => {
      await catalogue.add('other', newImage('elsewhere', draw()));
      const { sequences } = await catalogue.sample('other', { size: 1, seed: 0 });
      assert.deepEqual((await catalogue.changesSince(COLLECTION, { sequences, since: 0 })).ids, [null]);
      const none = await catalogue.sample(COLLECTION, { size: 5, seed: 0 });
      assert.deepEqual([none.images, none.sequences, none.embeddings.length], [0, [], 0]);
      for (const size of [0, 10_001, 1.5])
        await assert.rejects(catalogue.sample('other', { size, seed: 0 }), { code: 'INVALID_REQUEST' });
    });

    test('answers neighbours nearest first with similarity, metadata and sequence, bounded by k and the least similarity', async (catalogue, draw) => {
      const embeddings = Array.from({ length: 300 }, draw);
      await Promise.all(
        embeddings.map((embedding, place) =>
          catalogue.add(COLLECTION, newImage(`${place}`, embedding, { id: imageId(`${place}`) })),
        ),
      );
      const query = draw();
      const truth = embeddings
        .map((embedding, place) => ({
          id: `${place}`,
          similarity: embedding.reduce((sum, element, at) => sum + element * query[at]!, 0),
        }))
        .sort((a, b) => b.similarity - a.similarity);
      const found = await catalogue.neighbours({ collection: COLLECTION, embedding: query, k: 25, exact: true });
      assert.deepEqual(
        found.map(({ id }) => id),
        truth.slice(0, 25).map(({ id }) => id),
      );
      for (const [place, { id, similarity, metadata, sequence }] of found.entries()) {
        assert.ok(Math.abs(similarity - truth[place]!.similarity) < 1e-6);
        assert.deepEqual(metadata, { content: id });
        assert.equal(sequence, (await catalogue.get(COLLECTION, id))?.sequence);
      }
      const least = truth[9]!.similarity - 1e-6;
      assert.equal(
        (await catalogue.neighbours({ collection: COLLECTION, embedding: query, k: 25, minSimilarity: least })).length,
        10,
      );
      assert.equal((await catalogue.neighbours({ collection: COLLECTION, embedding: query, k: 1000 })).length, 300);
      // A query of any length asks for the same direction.
      const doubled = query.map((element) => element * 2);
      assert.deepEqual(
        await nearest(catalogue, doubled, 25),
        truth.slice(0, 25).map(({ id }) => id),
      );
    });

    test('makes an id from the bytes, and a longer one where that is taken', async (catalogue, draw) => {
      const { id } = await catalogue.add(COLLECTION, newImage('a', draw()));
      const digits = Buffer.from(newImage('a', draw()).sha256).toString('hex');
      assert.equal(id, digits.slice(0, 32));
      const taken = Buffer.from(newImage('b', draw()).sha256).toString('hex');
      await catalogue.add(COLLECTION, newImage('other', draw(), { id: imageId(taken.slice(0, 32)) }));
      assert.deepEqual(await catalogue.add(COLLECTION, newImage('b', draw())), {
        id: taken.slice(0, 40),
        status: 'added',
      });
    });

    test('keeps one record of the same bytes without an id, also when they come at once', async (catalogue, draw) => {
      const embedding = draw();
      const results = await Promise.all(
        Array.from({ length: 20 }, () => catalogue.add(COLLECTION, newImage('same', embedding))),
      );
      assert.equal(results.filter(({ status }) => status === 'added').length, 1);
      assert.equal(results.filter(({ status }) => status === 'exists').length, 19);
      assert.equal(new Set(results.map(({ id }) => id)).size, 1);
      assert.equal((await catalogue.list(COLLECTION, { limit: 100 })).items.length, 1);
      assert.deepEqual(await catalogue.add(COLLECTION, newImage('same', embedding, { replace: true })), {
        id: results[0]?.id,
        status: 'exists',
      });
      assert.equal((await catalogue.add('another', newImage('same', embedding))).status, 'added');
    });

    test('makes an explicit id a record of its own, also of bytes that are stored', async (catalogue, draw) => {
      const embedding = draw();
      const image = (id: string | undefined) =>
        newImage('same', embedding, { id: id === undefined ? undefined : imageId(id), original: new Uint8Array([7]) });
      assert.equal((await catalogue.add(COLLECTION, image('a'))).status, 'added');
      assert.equal((await catalogue.add(COLLECTION, image('b'))).status, 'added');
      assert.deepEqual(await catalogue.add(COLLECTION, image('b')), { id: 'b', status: 'exists' });
      assert.deepEqual(await catalogue.add(COLLECTION, image(undefined)), { id: 'a', status: 'exists' });
      const { sha256, fileName } = image('c');
      const known = { id: imageId('c'), sha256, fileName, metadata: { of: 'c' }, replace: false };
      assert.deepEqual(await catalogue.addKnown(COLLECTION, known), { id: 'c', status: 'added' });
      assert.equal(await catalogue.addKnown(COLLECTION, { ...known, sha256: new Uint8Array(32) }), undefined);
      assert.equal(await catalogue.addKnown('none', known), undefined);
      assert.deepEqual((await catalogue.get(COLLECTION, imageId('c')))?.metadata, { of: 'c' });
      assert.deepEqual(await catalogue.embedding(COLLECTION, imageId('c')), embedding);
      assert.deepEqual(await catalogue.thumbnail(COLLECTION, imageId('c')), thumbnailOf('same'));
      assert.deepEqual(await catalogue.original(COLLECTION, imageId('c')), new Uint8Array([7]));
      const search = async (): Promise<ImageId[]> =>
        (await catalogue.neighbours({ collection: COLLECTION, embedding: draw(), k: 3, sha256 })).map(({ id }) => id);
      assert.deepEqual((await search()).slice(0, 3), ['a', 'b', 'c']);
      assert.equal(await catalogue.findBySha256(COLLECTION, sha256), 'a');
      await catalogue.remove(COLLECTION, imageId('a'));
      assert.equal(await catalogue.findBySha256(COLLECTION, sha256), 'b');
      assert.deepEqual((await search()).slice(0, 2), ['b', 'c']);
      await assert.rejects(catalogue.addKnown(COLLECTION, { ...known, id: imageId('') }), { code: 'INVALID_REQUEST' });
    });

    test('replaces the picture of one id by bytes that another id has', async (catalogue, draw) => {
      const [hat, shoe] = [draw(), draw()];
      await catalogue.add(COLLECTION, newImage('hat', hat, { id: imageId('hat-1') }));
      await catalogue.add(COLLECTION, newImage('shoe', shoe, { id: imageId('shoe-1') }));
      const { sha256, fileName } = newImage('shoe', shoe);
      const known = { id: imageId('hat-1'), sha256, fileName, replace: false };
      await assert.rejects(catalogue.addKnown(COLLECTION, known), { code: 'ID_EXISTS' });
      const replaced = { id: 'hat-1', status: 'replaced' };
      assert.deepEqual(await catalogue.addKnown(COLLECTION, { ...known, replace: true }), replaced);
      assert.deepEqual(await catalogue.thumbnail(COLLECTION, imageId('hat-1')), thumbnailOf('shoe'));
      assert.deepEqual(await catalogue.embedding(COLLECTION, imageId('hat-1')), shoe);
      assert.equal((await catalogue.neighbours({ collection: COLLECTION, embedding: shoe, k: 5 })).length, 2);
      assert.deepEqual(
        await catalogue.add(COLLECTION, newImage('hat', hat, { id: imageId('shoe-1'), replace: true })),
        { id: 'shoe-1', status: 'replaced' },
      );
      assert.equal(await catalogue.findBySha256(COLLECTION, newImage('hat', hat).sha256), 'shoe-1');
    });

    test('updates the metadata where the same bytes come with others and replace, and keeps them where none come', async (catalogue, draw) => {
      const embedding = draw();
      const image = (n: number | undefined, replace: boolean) =>
        newImage('same', embedding, { id: imageId('a'), metadata: n === undefined ? undefined : { n }, replace });
      await catalogue.add(COLLECTION, image(41, false));
      const before = await catalogue.get(COLLECTION, imageId('a'));
      assert.equal((await catalogue.add(COLLECTION, image(99, false))).status, 'exists');
      assert.equal((await catalogue.add(COLLECTION, image(41, true))).status, 'exists');
      assert.equal((await catalogue.add(COLLECTION, image(undefined, true))).status, 'exists');
      assert.deepEqual(await catalogue.get(COLLECTION, imageId('a')), before);
      const filter = { field: 'n', equals: 99 } as const;
      const passing = async () =>
        (await catalogue.neighbours({ collection: COLLECTION, embedding, k: 5, filter })).length;
      assert.equal(await passing(), 0);
      assert.deepEqual(await catalogue.add(COLLECTION, image(99, true)), { id: 'a', status: 'updated' });
      const after = await catalogue.get(COLLECTION, imageId('a'));
      assert.deepEqual(
        [after?.metadata, after?.sequence, after?.addedAt],
        [{ n: 99 }, before?.sequence, before?.addedAt],
      );
      assert.equal(await passing(), 1);
      const { sha256, fileName } = image(1, true);
      const known = { id: undefined, sha256, fileName, metadata: { n: 1 }, replace: true };
      assert.deepEqual(await catalogue.addKnown(COLLECTION, known), { id: 'a', status: 'updated' });
    });

    test('answers the stored file itself first among pictures that look the same', async (catalogue, draw) => {
      const embedding = draw();
      for (let each = 0; each < 17; each++) await catalogue.add(COLLECTION, newImage(`flat ${each}`, embedding));
      for (const each of [16, 3]) {
        const { sha256 } = newImage(`flat ${each}`, embedding);
        for (const exact of [false, true]) {
          const query = { collection: COLLECTION, embedding, k: 10, exact, sha256 };
          const [first] = await catalogue.neighbours(query);
          assert.deepEqual(first?.metadata, { content: `flat ${each}` });
          assert.ok(first !== undefined && first.similarity <= 1 && first.similarity > 0.999);
        }
      }
      const perceptualHash = new Uint8Array(32).fill(3);
      const twin = { perceptualHash, perceptualHashQuality: 80 };
      await catalogue.add(COLLECTION, newImage('twin', embedding, twin));
      const nearHash = { hashes: [perceptualHash], maxDistance: 5, limit: 5 };
      const [first] = await catalogue.neighbours({ collection: COLLECTION, embedding, k: 10, nearHash });
      assert.deepEqual(first?.metadata, { content: 'twin' });
    });

    test('replaces an image of the same id only where asked to, and then nothing of the former is found', async (catalogue, draw) => {
      const [first, second] = [draw(), draw().map((element) => -element)];
      const id = imageId('x');
      await catalogue.add(COLLECTION, newImage('first', first, { id, original: new Uint8Array([1]) }));
      const before = await catalogue.get(COLLECTION, id);
      await assert.rejects(catalogue.add(COLLECTION, newImage('second', second, { id })), { code: 'ID_EXISTS' });
      assert.deepEqual(await catalogue.get(COLLECTION, id), before);
      assert.deepEqual(await catalogue.add(COLLECTION, newImage('second', second, { id, replace: true })), {
        id,
        status: 'replaced',
      });
      const after = await catalogue.get(COLLECTION, id);
      assert.ok(before !== undefined && after !== undefined && after.sequence > before.sequence);
      assert.equal(after.addedAt, before.addedAt);
      assert.deepEqual(after.metadata, { content: 'second' });
      assert.deepEqual(await catalogue.thumbnail(COLLECTION, id), thumbnailOf('second'));
      assert.equal(await catalogue.original(COLLECTION, id), undefined);
      const [match] = await catalogue.neighbours({ collection: COLLECTION, embedding: first, k: 5 });
      assert.ok(match !== undefined && match.similarity < 0.99);
      assert.equal(await catalogue.findBySha256(COLLECTION, newImage('first', first).sha256), undefined);
      assert.equal((await catalogue.add(COLLECTION, newImage('first', first))).status, 'added');
    });

    test('lets one bad image of many concurrent ones fail alone', async (catalogue, draw) => {
      await catalogue.add(COLLECTION, newImage('taken', draw(), { id: imageId('taken') }));
      const zero = new Float32Array(CONTRACT_DIMENSIONS);
      const given = Array.from({ length: 30 }, (_, place) => {
        if (place % 10 === 3) return newImage(`${place}`, draw(), { id: imageId('taken') });
        if (place % 10 === 6) return newImage(`${place}`, zero);
        if (place % 10 === 9) return newImage(`${place}`, draw(), { metadata: { a: '\0' } });
        return newImage(`${place}`, draw());
      });
      const settled = await Promise.allSettled(given.map((image) => catalogue.add(COLLECTION, image)));
      const codes = settled.map((result) =>
        result.status === 'fulfilled' ? result.value.status : (result.reason as { code: string }).code,
      );
      const expected = given.map(
        (_, place) => ({ 3: 'ID_EXISTS', 6: 'INVALID_EMBEDDING', 9: 'INVALID_REQUEST' })[place % 10] ?? 'added',
      );
      assert.deepEqual(codes, expected);
      assert.equal((await catalogue.list(COLLECTION, { limit: 100 })).items.length, 22);
    });

    test('refuses embeddings, names, ids, pages and queries that cannot be', async (catalogue, draw) => {
      const spoilt = draw().fill(Number.NaN, 3, 4);
      for (const embedding of [spoilt, new Float32Array(CONTRACT_DIMENSIONS), new Float32Array(3)]) {
        await assert.rejects(catalogue.add(COLLECTION, newImage('a', embedding)), { code: 'INVALID_EMBEDDING' });
        await assert.rejects(catalogue.neighbours({ collection: COLLECTION, embedding, k: 1 }), {
          code: 'INVALID_EMBEDDING',
        });
      }
      for (const id of ['', 'x'.repeat(256), 'ä'.repeat(128), 'a\nb', '\ud800']) {
        await assert.rejects(catalogue.add(COLLECTION, newImage('a', draw(), { id: imageId(id) })), {
          code: 'INVALID_REQUEST',
        });
      }
      for (const name of ['', '../x', 'a b', 'x'.repeat(65)]) {
        await assert.rejects(catalogue.add(name, newImage('a', draw())), { code: 'INVALID_REQUEST' });
        await assert.rejects(catalogue.list(name, { limit: 1 }), { code: 'INVALID_REQUEST' });
      }
      for (const k of [0, -1, 1.5, 1001, Number.NaN]) {
        await assert.rejects(catalogue.neighbours({ collection: COLLECTION, embedding: draw(), k }), {
          code: 'INVALID_REQUEST',
        });
      }
      for (const cursor of ['', 'x', '-1', '1e3', '9'.repeat(30)]) {
        await assert.rejects(catalogue.list(COLLECTION, { limit: 1, cursor }), { code: 'INVALID_REQUEST' });
      }
      await assert.rejects(catalogue.list(COLLECTION, { limit: 0 }), { code: 'INVALID_REQUEST' });
    });

    test('merges metadata and refuses a merge that grows too large', async (catalogue, draw) => {
      const { id } = await catalogue.add(COLLECTION, newImage('a', draw(), { metadata: { a: 1, b: { c: 2, d: 3 } } }));
      const patched = await catalogue.patchMetadata(COLLECTION, id, { a: null, b: { c: 'new' }, e: [1] });
      assert.deepEqual(patched?.metadata, { b: { c: 'new', d: 3 }, e: [1] });
      assert.deepEqual(await catalogue.get(COLLECTION, id), patched);
      const half = { id, patch: 'x'.repeat(40_000) };
      await catalogue.patchMetadata(COLLECTION, id, { one: half.patch });
      await assert.rejects(catalogue.patchMetadata(COLLECTION, id, { two: half.patch }), { code: 'INVALID_REQUEST' });
      assert.deepEqual(Object.keys((await catalogue.get(COLLECTION, id))?.metadata ?? {}).sort(), ['b', 'e', 'one']);
      const image = newImage('b', draw(), { metadata: { a: 'x'.repeat(METADATA_BYTES) } });
      await assert.rejects(catalogue.add(COLLECTION, image), {
        code: 'INVALID_REQUEST',
        message: /--max-metadata-bytes/,
      });
      await assert.rejects(catalogue.patchMetadata(COLLECTION, id, { n: Number.POSITIVE_INFINITY }), {
        code: 'INVALID_REQUEST',
      });
    });

    test('filters by keys with dots and by fields of objects in arrays', async (catalogue, draw) => {
      const metadata = {
        'exif.model': 'X100',
        exif: { 'a\\b': 1 },
        'say "hi"': true,
        nested: [{ n: 1 }, { n: 2 }, { m: [7] }],
      };
      await catalogue.add(COLLECTION, newImage('a', draw(), { metadata }));
      const matches = async (filter: unknown): Promise<number> =>
        (await catalogue.list(COLLECTION, { limit: 5, filter: parseFilter(filter) })).items.length;
      assert.equal(await matches({ field: 'exif\\.model', equals: 'X100' }), 1);
      assert.equal(await matches({ field: 'exif.model', equals: 'X100' }), 0);
      assert.equal(await matches({ field: 'exif.a\\\\b', equals: 1 }), 1);
      assert.equal(await matches({ field: 'say "hi"', equals: true }), 1);
      assert.equal(await matches({ field: 'nested.n', equals: 2 }), 1);
      assert.equal(await matches({ field: 'nested.n', range: { gt: 2 } }), 0);
      assert.equal(await matches({ field: 'nested.m', in: [6, 7] }), 1);
      assert.equal(await matches({ field: 'nested.k', exists: false }), 1);
      assert.equal(await matches({ field: 'nested.m', exists: true }), 1);
      for (const field of ['a\\x', 'a\\', '.a', 'a..b', 'a\n'])
        assert.throws(() => parseFilter({ field, exists: true }), { code: 'INVALID_FILTER' });
    });

    test('lists in order of commit, page by page, with what is added meanwhile on later pages', async (catalogue, draw) => {
      const add = (place: number): Promise<unknown> =>
        catalogue.add(COLLECTION, newImage(`${place}`, draw(), { metadata: { place, even: place % 2 === 0 } }));
      for (let place = 0; place < 25; place++) await add(place);
      const seen: unknown[] = [];
      let cursor: string | undefined;
      let pages = 0;
      do {
        const page = await catalogue.list(COLLECTION, { limit: 10, ...(cursor === undefined ? {} : { cursor }) });
        seen.push(...page.items.map(({ metadata }) => metadata.place));
        cursor = page.nextCursor;
        if (pages++ === 0) for (let place = 25; place < 30; place++) await add(place);
      } while (cursor !== undefined);
      assert.deepEqual(
        seen,
        Array.from({ length: 30 }, (_, place) => place),
      );
      assert.equal(pages, 3);
      const even = await catalogue.list(COLLECTION, { limit: 1000, filter: { field: 'even', equals: true } });
      assert.deepEqual(
        even.items.map(({ metadata }) => metadata.place),
        Array.from({ length: 15 }, (_, half) => half * 2),
      );
    });

    test('searches only what a filter lets pass, as records change', async (catalogue, draw) => {
      const filter = { field: 'tags', equals: 'red' } as const;
      const query = draw();
      const ids = await Promise.all(
        Array.from(
          { length: 400 },
          async (_, place) =>
            (
              await catalogue.add(
                COLLECTION,
                newImage(`${place}`, draw(), { metadata: { tags: place % 4 === 0 ? ['red', 'x'] : ['blue'] } }),
              )
            ).id,
        ),
      );
      const passing = async (): Promise<Set<ImageId>> => {
        const found = await catalogue.neighbours({ collection: COLLECTION, embedding: query, k: 1000, filter });
        assert.ok(found.every(({ metadata }) => (metadata.tags as string[]).includes('red')));
        return new Set(found.map(({ id }) => id));
      };
      assert.equal((await passing()).size, 100);
      await catalogue.patchMetadata(COLLECTION, ids[1]!, { tags: ['red'] });
      await catalogue.patchMetadata(COLLECTION, ids[0]!, { tags: null });
      await catalogue.remove(COLLECTION, ids[4]!);
      const added = await catalogue.add(COLLECTION, newImage('new', draw(), { metadata: { tags: 'red' } }));
      const found = await passing();
      assert.equal(found.size, 100);
      assert.deepEqual(
        [ids[1]!, ids[0]!, ids[4]!, added.id].map((id) => found.has(id)),
        [true, false, false, true],
      );
    });

    test('answers images of a near hash however low their embedding ranks them, behind the nearest', async (catalogue, draw) => {
      const perceptualHash = new Uint8Array(32).fill(0xa5);
      const nearHash = perceptualHash.slice();
      nearHash[7]! ^= 0b1011;
      const query = draw();
      await catalogue.add(
        'all',
        newImage('far', opposite(query), { id: imageId('far'), perceptualHash: nearHash, perceptualHashQuality: 71 }),
      );
      for (let each = 0; each < 20; each++) await catalogue.add('all', newImage(`other ${each}`, draw()));
      const ask = { collection: 'all', embedding: query, k: 2 };
      const plain = await catalogue.neighbours(ask);
      assert.ok(!plain.some(({ id }) => id === 'far'));
      const wanted = { hashes: [new Uint8Array(32), perceptualHash], maxDistance: 3, limit: 5 };
      const both = await catalogue.neighbours({ ...ask, nearHash: wanted });
      assert.deepEqual(both.slice(0, 2), plain);
      assert.equal(both.length, 3);
      assert.deepEqual([both[2]?.id, both[2]?.perceptualHashQuality], ['far', 71]);
      assert.deepEqual([...both[2]!.perceptualHash], [...nearHash]);
      assert.ok(both[2]!.similarity < -0.999);
      assert.equal((await catalogue.neighbours({ ...ask, nearHash: { ...wanted, maxDistance: 2 } })).length, 2);
      assert.equal(
        (await catalogue.neighbours({ ...ask, nearHash: wanted, minSimilarity: -0.5 })).filter(({ id }) => id === 'far')
          .length,
        0,
      );
      const filter = parseFilter({ field: 'content', equals: 'other 3' });
      assert.equal((await catalogue.neighbours({ ...ask, nearHash: wanted, filter })).length, 1);
      await catalogue.remove('all', imageId('far'));
      assert.deepEqual(await catalogue.neighbours({ ...ask, nearHash: wanted }), plain);
    });

    test('answers the image of the same bytes wherever the search would have missed it', async (catalogue, draw) => {
      const query = draw();
      const far = newImage('far', opposite(query), { id: imageId('far') });
      await catalogue.add('all', far);
      for (let each = 0; each < 20; each++) await catalogue.add('all', newImage(`other ${each}`, draw()));
      const ask = { collection: 'all', embedding: query, k: 2 };
      const plain = await catalogue.neighbours(ask);
      const both = await catalogue.neighbours({ ...ask, sha256: far.sha256 });
      assert.equal(both[0]?.id, 'far');
      assert.ok(both[0].similarity < -0.999);
      assert.deepEqual(both.slice(1), plain);
      assert.deepEqual(await catalogue.neighbours({ ...ask, sha256: new Uint8Array(32) }), plain);
      assert.deepEqual(await catalogue.neighbours({ ...ask, sha256: far.sha256, minSimilarity: -0.5 }), plain);
      const filter = parseFilter({ field: 'content', equals: 'other 3' });
      assert.equal((await catalogue.neighbours({ ...ask, sha256: far.sha256, filter })).length, 1);
      // Found by both, it is answered once.
      assert.equal((await catalogue.neighbours({ ...ask, k: 21, sha256: far.sha256 })).length, 21);
      await assert.rejects(catalogue.neighbours({ ...ask, sha256: new Uint8Array(31) }), { code: 'INVALID_REQUEST' });
      await catalogue.remove('all', imageId('far'));
      assert.deepEqual(await catalogue.neighbours({ ...ask, sha256: far.sha256 }), plain);
    });

    test('keeps collections apart', async (catalogue, draw) => {
      const embedding = draw();
      await catalogue.add('one', newImage('a', embedding, { id: imageId('x') }));
      await catalogue.add('two', newImage('b', embedding, { id: imageId('x') }));
      assert.deepEqual(
        (await catalogue.neighbours({ collection: 'one', embedding, k: 10 })).map(({ metadata }) => metadata),
        [{ content: 'a' }],
      );
      assert.equal(await catalogue.remove('one', imageId('x')), true);
      assert.deepEqual((await catalogue.get('two', imageId('x')))?.metadata, { content: 'b' });
      const { collections } = await catalogue.statistics();
      assert.deepEqual(
        collections.map(({ name, images }) => [name, images]),
        [
          ['one', 0],
          ['two', 1],
        ],
      );
    });

    test('never uses a sequence number again', async (catalogue, draw) => {
      let highest = 0;
      for (let round = 0; round < 20; round++) {
        const { id } = await catalogue.add(COLLECTION, newImage(`${round}`, draw()));
        const sequence = (await catalogue.get(COLLECTION, id))?.sequence ?? 0;
        assert.ok(sequence > highest);
        highest = sequence;
        await catalogue.remove(COLLECTION, id);
      }
      assert.equal((await catalogue.statistics()).lastSequence, highest);
    });

    test('answers what was asked before it was closed, and nothing after', async (catalogue, draw) => {
      const adds = Array.from({ length: 100 }, (_, place) => catalogue.add(COLLECTION, newImage(`${place}`, draw())));
      const closing = catalogue.close();
      assert.ok((await Promise.all(adds)).every(({ status }) => status === 'added'));
      await closing;
      await assert.rejects(catalogue.get(COLLECTION, imageId('a')), { code: 'SHUTTING_DOWN' });
      await catalogue.close();
    });
  });
}

function opposite(vector: Float32Array): Float32Array {
  return vector.map((value) => -value);
}
