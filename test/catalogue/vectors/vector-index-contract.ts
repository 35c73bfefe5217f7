import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LABEL_LIMIT, type VectorIndex } from '../../../src/catalogue/vectors/vector-index.js';
import { clusteredVectors, unit } from './synthetic-vectors.js';

const DIMENSIONS = 24;

/** What every vector index must do, exact or not; `recall` is the least share of true neighbours it must find. */
export function vectorIndexContract(
  name: string,
  recall: number,
  makeIndex: (dimensions: number) => VectorIndex,
): void {
  const filled = (
    count: number,
    seed = 1,
  ): { readonly index: VectorIndex; readonly vectors: Float32Array[]; readonly draw: () => Float32Array } => {
    const draw = clusteredVectors({ dimensions: DIMENSIONS, clusters: 20, seed });
    const index = makeIndex(DIMENSIONS);
    const vectors = Array.from({ length: count }, draw);
    vectors.forEach((vector, label) => {
      index.add(label, vector);
    });
    return { index, vectors, draw };
  };

  describe(`${name} as a vector index`, () => {
    it('answers nothing while it is empty', () => {
      const index = makeIndex(DIMENSIONS);
      assert.deepEqual(index.search(new Float32Array(DIMENSIONS).fill(1), 10), []);
      assert.equal(index.size, 0);
    });

    it('finds the true neighbours, nearest first, with their cosine similarity', () => {
      const { index, vectors, draw } = filled(2000);
      let found = 0;
      for (let query = 0; query < 50; query++) {
        const vector = draw();
        const truth = slowSearch(vectors, vector, 10);
        const matches = index.search(vector, 10);
        assert.equal(matches.length, 10);
        matches.forEach(({ label, similarity }, place) => {
          assert.ok(Math.abs(similarity - slowCosine(vectors[label]!, vector)) < 1e-5);
          if (place > 0) assert.ok(similarity <= matches[place - 1]!.similarity);
        });
        found += matches.filter(({ label }) => truth.includes(label)).length;
      }
      assert.ok(found >= recall * 500, `found ${found} of 500`);
    });

    it('answers all of them where k is larger than their number', () => {
      const { index } = filled(7);
      assert.equal(index.search(unit(new Float32Array(DIMENSIONS).fill(1)), 1000).length, 7);
    });

    it('answers equal vectors in the order of their labels', () => {
      const index = makeIndex(DIMENSIONS);
      const vector = unit(Float32Array.from({ length: DIMENSIONS }, (_, at) => at - 3));
      for (const label of [3, 8, 11, 40]) index.add(label, vector);
      assert.deepEqual(
        index.search(vector, 4).map(({ label }) => label),
        [3, 8, 11, 40],
      );
    });

    it('never answers a removed vector, and everything else still', () => {
      const { index, vectors } = filled(600);
      for (let label = 0; label < 600; label += 3) assert.equal(index.remove(label), true);
      assert.equal(index.remove(0), false);
      assert.equal(index.remove(600), false);
      assert.equal(index.size, 400);
      assert.equal(index.search(vectors[0]!, 1000).length, 400);
      for (let label = 0; label < 600; label++) {
        const labels = index.search(vectors[label]!, 5).map((match) => match.label);
        assert.equal(labels.length, 5);
        assert.ok(labels.every((other) => other % 3 !== 0));
        assert.equal(labels.includes(label), label % 3 !== 0);
      }
    });

    it('answers a full page although nearly all vectors were removed', () => {
      const { index, vectors } = filled(500);
      for (let label = 0; label < 490; label++) index.remove(label);
      assert.equal(index.search(vectors[0]!, 10).length, 10);
    });

    it('finds the same vector again under a new label', () => {
      const { index, vectors } = filled(50);
      index.remove(7);
      index.add(50, vectors[7]!);
      assert.equal(index.search(vectors[7]!, 1)[0]?.label, 50);
    });

    it('answers only labels that a filter accepts, as many as there are', () => {
      const { index, vectors } = filled(1000);
      const matches = index.search(vectors[5]!, 20, { accepts: (label) => label % 10 === 5 });
      assert.equal(matches.length, 20);
      assert.ok(matches.every(({ label }) => label % 10 === 5));
      assert.equal(matches[0]?.label, 5);
      assert.equal(index.search(vectors[5]!, 20, { accepts: (label) => label < 3 }).length, 3);
    });

    it('throws what a filter throws, and goes on', () => {
      const { index, vectors } = filled(100);
      const accepts = (): boolean => {
        throw new RangeError('the filter failed');
      };
      assert.throws(() => index.search(vectors[0]!, 5, { accepts }), /the filter failed/);
      assert.equal(index.search(vectors[0]!, 1)[0]?.label, 0);
    });

    it('refuses vectors that have no direction or another length, as points and as queries', () => {
      const { index, vectors } = filled(50);
      const spoilt = (element: number): Float32Array => vectors[0]!.map((value, at) => (at === 3 ? element : value));
      const wrong = [
        spoilt(Number.NaN),
        spoilt(Number.POSITIVE_INFINITY),
        new Float32Array(DIMENSIONS),
        new Float32Array(DIMENSIONS - 1),
        new Float32Array(0),
      ];
      for (const vector of wrong) {
        assert.throws(() => index.add(50, vector), { code: 'INVALID_EMBEDDING' });
        assert.throws(() => index.search(vector, 5), { code: 'INVALID_EMBEDDING' });
      }
      // what a caller without types could pass
      const notNumbers = Array.from(vectors[0]!, String) as unknown as Float32Array;
      assert.throws(() => index.add(50, notNumbers), { code: 'INVALID_EMBEDDING' });
      assert.equal(index.size, 50);
      vectors.forEach((vector, label) => {
        assert.equal(index.search(vector, 1)[0]?.label, label);
      });
    });

    it('holds labels of 32 bits and refuses all others, and any that do not ascend', () => {
      const { index, vectors, draw } = filled(10);
      const last = draw();
      index.add(LABEL_LIMIT, last);
      assert.equal(index.search(last, 1)[0]?.label, 2 ** 32 - 1);
      // hnswlib would overwrite label 5 here without a word.
      assert.throws(() => index.add(2 ** 32 + 5, draw()), { code: 'CATALOGUE_FULL' });
      for (const label of [-1, 11.5, Number.NaN, 5, LABEL_LIMIT])
        assert.throws(() => index.add(label, draw()), /This is a bug/);
      for (const label of [-1, 2 ** 32 + 5, 5.5, Number.NaN]) assert.equal(index.remove(label), false);
      assert.equal(index.size, 11);
      assert.equal(index.search(vectors[5]!, 1)[0]?.label, 5);
    });

    it('grows far beyond its first capacity', () => {
      const { index, vectors } = filled(3000, 2);
      assert.equal(index.size, 3000);
      for (let label = 0; label < 3000; label += 97) assert.equal(index.search(vectors[label]!, 1)[0]?.label, label);
    });
  });
}

function slowCosine(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, element, at) => sum + element * b[at]!, 0);
}

function slowSearch(vectors: readonly Float32Array[], query: Float32Array, k: number): number[] {
  const scored = vectors.map((vector, label) => ({ label, similarity: slowCosine(vector, query) }));
  return scored
    .sort((a, b) => b.similarity - a.similarity || a.label - b.label)
    .slice(0, k)
    .map(({ label }) => label);
}
