/** The recipe adapt: what is tapped, how it is pooled and projected, and that the saved program computes just that. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { encodeModel } from '../../../src/compile/onnx-writer.js';
import { openEncoder } from '../../../src/encoder/open-encoder.js';
import { inputShape } from '../../../src/encoder/runtime.js';
import { EMBEDDING_OUTPUT, PIXELS_INPUT } from '../../../src/encoder/saved-encoder.js';
import { SearchError } from '../../../src/errors.js';
import type { Pixels } from '../../../src/images/pixels.js';
import { writeInputTensor } from '../../../src/images/preprocessing.js';
import { type AdaptFit, fitAdapt } from '../../../src/training/adapt/adapt.js';
import { saveAdapted, verdictOf, viewSearchMarkdown } from '../../../src/training/adapt/adapt-export.js';
import { FIT_OUTPUTS, fitProgram } from '../../../src/training/adapt/adapt-graph.js';
import { ADAPT_DEFAULTS, adaptOptions } from '../../../src/training/adapt/adapt-options.js';
import { type Backbone, namedTaps, readBackbone, tapCandidates } from '../../../src/training/adapt/backbone.js';
import { defaultTaps, featureSize, pooled } from '../../../src/training/adapt/choose-taps.js';
import { leastCosine } from '../../encoder/programs.js';
import { temporaryFolder } from '../temporary-folder.js';
import { textures } from '../textures.js';
import { convolutions, savedBackbone, transformer } from './tiny-backbones.js';

const PICTURES = 60;
const FACTS = { name: 'mine', data: 'textures', licence: 'none.', command: 'this test' };

const pictures = (count: number): Pixels[] => {
  const dataset = textures(count, 5);
  return Array.from({ length: count }, (_, index) => dataset.heldPixels(index)!);
};

/** Outputs of a program on some pictures of the backbone's input. */
async function outputsOf(program: Uint8Array, { encoder }: Backbone, images: readonly Pixels[]) {
  const session = await InferenceSession.create(program);
  const shape = inputShape(encoder, images.length);
  const target = new Float32Array(shape.reduce((product, size) => product * size, 1));
  const { preprocessing } = encoder.manifest;
  for (const [index, pixels] of images.entries()) writeInputTensor({ pixels, preprocessing, target, index });
  const outputs = await session.run({ [PIXELS_INPUT]: new Tensor('float32', target, [...shape]) });
  await session.release();
  return (name: string): Float32Array => outputs[name]!.data as Float32Array;
}

/** What a part should be: pooled over places of [channels, places], of norm 1. */
function reference(map: Float32Array, channels: number, pool: (values: Float32Array) => number): number[] {
  const places = map.length / channels;
  const vector = Array.from({ length: channels }, (_, at) => pool(map.subarray(at * places, (at + 1) * places)));
  const norm = Math.hypot(...vector);
  return vector.map((value) => value / norm);
}

const withCode = (code: string, message: RegExp) => (error: unknown) =>
  error instanceof SearchError && error.code === code && message.test(error.message);

const mean = (values: Float32Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;

test('maps are tapped by shape, last first, and pooled by mean and generalised mean', async (t) => {
  const folder = await temporaryFolder(t);
  for (const [layout, opset] of [
    ['NCHW', 17],
    ['NHWC', 18],
  ] as const) {
    const backbone = await readBackbone(await savedBackbone(join(folder, layout), convolutions(), { layout, opset }));
    const taps = await defaultTaps(backbone);
    assert.deepEqual(
      taps.map(({ tap, pools }) => [tap.name, tap.channels, pools]),
      [
        ['second', 16, ['mean', 'gem']],
        ['first', 8, ['mean', 'gem']],
      ],
    );
    const images = pictures(3);
    const fit = await outputsOf(fitProgram({ backbone, taps, also: undefined }), backbone, images);
    const { model } = backbone;
    const withMap = encodeModel({
      ...model,
      graph: {
        ...model.graph,
        outputs: [{ name: 'second', type: 'float32', dims: ['batch', 16, 4, 4] }, ...model.graph.outputs],
      },
    });
    const plain = await outputsOf(withMap, backbone, images);
    const size = featureSize(taps);
    for (const index of images.keys()) {
      const map = plain('second').subarray(index * 256, (index + 1) * 256);
      const expected = [
        ...reference(map, 16, mean),
        ...reference(map, 16, (values) => Math.cbrt(mean(values.map((value) => Math.max(value, 0) ** 3)))),
      ];
      const found = fit(FIT_OUTPUTS.taps).subarray(index * size, index * size + 32);
      assert.ok(expected.every((value, at) => Math.abs(value - found[at]!) < 1e-5));
    }
    assert.ok(leastCosine(fit(FIT_OUTPUTS.backbone), plain(EMBEDDING_OUTPUT), 16) > 0.99999);
  }
});

test('of a transformer the class token and the mean of the patches are taken', async (t) => {
  const backbone = await readBackbone(await savedBackbone(await temporaryFolder(t), transformer()));
  const taps = await defaultTaps(backbone);
  assert.deepEqual(
    taps.map(({ tap, pools }) => [tap.name, tap.kind === 'tokens' && [tap.tokens, tap.prefix], pools]),
    [
      ['layer2', [17, 1], ['first', 'mean']],
      ['layer1', [17, 1], ['first', 'mean']],
    ],
  );
  const images = pictures(2);
  const fit = await outputsOf(fitProgram({ backbone, taps, also: undefined }), backbone, images);
  const first = Float32Array.from(
    images.flatMap((_, index) => [...fit(FIT_OUTPUTS.taps).subarray(index * 48, index * 48 + 12)]),
  );
  assert.ok(leastCosine(first, fit(FIT_OUTPUTS.backbone), 12) > 0.99999, 'the class token is the embedding here');
});

test('taps can be named; a name that is no map is refused with those that are', async (t) => {
  const backbone = await readBackbone(await savedBackbone(await temporaryFolder(t), convolutions()));
  assert.deepEqual(
    (await tapCandidates(backbone)).map(({ name }) => name),
    ['first', 'second'],
  );
  const [tap] = await namedTaps(backbone, ['first_before']);
  assert.deepEqual(tap, { kind: 'map', name: 'first_before', channels: 8, height: 8, width: 8 });
  const known = /first \(8 x 8 x 8\), second \(16 x 4 x 4\)/;
  await assert.rejects(namedTaps(backbone, ['first', 'third']), withCode('INVALID_SETTINGS', known));
  await assert.rejects(namedTaps(backbone, ['flat']), withCode('INVALID_SETTINGS', /flat is neither.*first/));
});

test('learning on top finds more views of held-out pictures than random weights do, and the saved program is it', async (t) => {
  const folder = await temporaryFolder(t);
  const backbone = await readBackbone(await savedBackbone(folder, convolutions(), { layout: 'NHWC', opset: 18 }));
  const fitted = async (): Promise<AdaptFit> =>
    fitAdapt({
      images: pictures(PICTURES),
      count: PICTURES,
      backbone,
      taps: await defaultTaps(backbone),
      settings: adaptOptions({ views: 3, dimensions: 12 }, 'test'),
    });
  const fit = await fitted();
  assert.deepEqual([fit.images, fit.dimensions, fit.found.queries, fit.found.pictures], [60, 12, 36, 60]);
  assert.ok(fit.found.learnt > fit.found.backbone, JSON.stringify(fit.found));
  assert.ok(ADAPT_DEFAULTS.ridges.includes(fit.ridge));
  assert.deepEqual((await fitted()).projection, fit.projection);
  assert.match(viewSearchMarkdown(fit), /\| tiny, as it comes \| .*\n\| learnt on top of it \| /);
  assert.match(verdictOf(fit), /orth it: learnt from 60 pictures/);

  const saved = await saveAdapted({ fit, out: join(folder, 'mine'), ...FACTS });
  assert.deepEqual(saved.manifest.outputs.features, {
    name: 'features',
    channels: 16,
    grid: { width: 4, height: 4 },
  });
  const [picture] = pictures(1);
  const encoder = await openEncoder({ folder: saved.folder, device: 'cpu', threads: 1 });
  const { embedding, features } = await encoder.encode(picture!, { features: true });
  await encoder.close();
  const plain = await outputsOf(fitProgram({ backbone, taps: fit.taps, also: undefined }), backbone, [picture!]);
  const { weights, offsets } = fit.projection;
  const expected = offsets.map((offset, column) =>
    plain(FIT_OUTPUTS.taps).reduce((sum, value, row) => sum + value * weights[row * 12 + column]!, offset),
  );
  assert.ok(leastCosine(embedding, expected, 12) > 0.99999);
  const cell = features!.values.filter((_, at) => at % 16 === 5);
  assert.ok(Math.abs(Math.hypot(...cell) - 1) < 1e-4);
});

test('another encoder is joined on the same pixels, of another order and written in other operators', async (t) => {
  const folder = await temporaryFolder(t);
  const given = { layout: 'NHWC', opset: 18, channels: 'BGR' } as const;
  const backbone = await readBackbone(await savedBackbone(folder, convolutions(), given));
  const alsoFolder = await savedBackbone(join(folder, 'also'), transformer());
  const also = await readBackbone(alsoFolder);
  const taps = (await namedTaps(backbone, ['second'])).map(pooled);
  const fit = await fitAdapt({
    images: pictures(PICTURES),
    count: PICTURES,
    backbone,
    taps,
    also,
    settings: adaptOptions({ views: 2, dimensions: 12 }, 'test'),
  });
  assert.ok(fit.found.also !== undefined && fit.found.joined !== undefined);
  const saved = await saveAdapted({ fit, out: join(folder, 'mine'), ...FACTS });
  const images = pictures(4);
  const plain = await outputsOf(fitProgram({ backbone, taps, also }), backbone, images);
  const own = await outputsOf(also.encoder.onnx, also, images);
  assert.ok(leastCosine(plain(FIT_OUTPUTS.also), own(EMBEDDING_OUTPUT), 12) > 0.9999, 'of one size: the same pixels');
  const whole = await outputsOf(saved.onnx, backbone, images);
  assert.equal(whole(EMBEDDING_OUTPUT).length, 4 * 12);
  assert.deepEqual(
    [saved.manifest.training.also, saved.manifest.dataLicence],
    ['tiny', 'none. Backbone tiny: none needed. tiny: none needed.'],
  );
});

test('too few pictures and unknown options are refused', async (t) => {
  const backbone = await readBackbone(await savedBackbone(await temporaryFolder(t), convolutions()));
  const few = fitAdapt({
    images: pictures(19),
    count: 19,
    backbone,
    taps: await defaultTaps(backbone),
    settings: ADAPT_DEFAULTS,
  });
  await assert.rejects(few, withCode('INVALID_SETTINGS', /19 pictures are too few/));
  const wrong = () => adaptOptions({ views: -1, ridges: [], taps: 3 }, 'mine.json');
  assert.throws(wrong, withCode('INVALID_SETTINGS', /mine.json: taps is no option.*views is -1.*ridges is \[\]/));
});
