/** More atoms than are coded at once: the groups are an order of work, not another encoder. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { decodeModel } from '../../../src/compile/onnx-reader.js';
import { seededRandom } from '../../../src/seeded-random.js';
import {
  codeStage,
  pooledStage,
  type Stage,
  stagesProgram,
} from '../../../src/training/closed-form/closed-form-graph.js';
import { type ClosedFormOptions, closedFormOptions } from '../../../src/training/closed-form/closed-form-options.js';

/** 28 x 28 patches of 3 x 3 pixels, 1,400 atoms: more codes than are held at once. */
const MANY = closedFormOptions({
  side: 30,
  patch: 3,
  stride: 1,
  pool: 4,
  atoms: 1400,
  threshold: 0.1,
  eigenvectors: 4,
  dimensions: 4,
});

test('atoms coded in groups give the pooled codes of all atoms at once, in their order', async () => {
  const random = seededRandom(2018, 'groups');
  const draw = (length: number): Float32Array => Float32Array.from({ length }, () => random() * 2 - 1);
  const dictionary = { patch: 3, whitening: draw(27 * 27), atoms: draw(MANY.atoms * 27).map((value) => value / 3) };
  const pixels = new Tensor('float32', draw(2 * 3 * 30 * 30), [2, 3, 30, 30]);
  const run = async (stage: Stage, name: string, across: number): Promise<Float32Array> => {
    const dims = ['batch', MANY.atoms, across, across];
    const program = stagesProgram({
      name: 'test',
      side: 30,
      stages: [stage],
      outputs: [{ name, type: 'float32', dims }],
    });
    const session = await InferenceSession.create(program);
    const outputs = await session.run({ pixels });
    await session.release();
    return outputs[name]!.data as Float32Array; // By the line above.
  };
  const pooled = await run(pooledStage(dictionary, MANY), 'pooled', 7);
  const codes = await run(codeStage(dictionary, MANY), 'codes', 28);
  assert.ok(groupsOf(MANY) > 1, 'this test is about several groups');
  let active = 0;
  for (let at = 0; at < pooled.length; at++) {
    const [map, place] = [Math.floor(at / 49), at % 49];
    let sum = 0;
    for (let y = 0; y < 4; y++)
      for (let x = 0; x < 4; x++) sum += codes[map * 784 + (Math.floor(place / 7) * 4 + y) * 28 + (place % 7) * 4 + x]!;
    assert.ok(Math.abs(pooled[at]! - sum / 16) < 1e-5, `value ${at}: ${pooled[at]}, expected ${sum / 16}`);
    if (sum > 0) active++;
  }
  assert.ok(active > pooled.length / 10, `only ${active} pooled codes are above 0: nothing was compared`);
});

test('few atoms are one group, many at every pixel are several', () => {
  assert.equal(groupsOf(closedFormOptions({})), 1);
  assert.ok(groupsOf(closedFormOptions({ atoms: 8192, stride: 1, pool: 3 })) > 4);
});

/** Convolutions of the stage beyond the one that whitens. */
function groupsOf(options: ClosedFormOptions): number {
  const { patch, atoms } = options;
  const n = 3 * patch * patch;
  const dictionary = { patch, whitening: new Float32Array(n * n), atoms: new Float32Array(atoms * n) };
  const outputs = [{ name: 'pooled', type: 'float32', dims: ['batch', atoms, 1, 1] }] as const;
  const { graph } = decodeModel(
    stagesProgram({ name: 'test', side: options.side, stages: [pooledStage(dictionary, options)], outputs }),
  );
  return graph.nodes.filter(({ op }) => op === 'Conv').length - 1;
}
