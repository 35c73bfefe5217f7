/** Layouts of other projects, made here from one small model; each must give what that model gives by itself. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import sharp from 'sharp';
import { runEncoderCheck } from '../../../src/commands/encoder.js';
import {
  type ImportedEncoder,
  type ImportOptions,
  importEncoder,
} from '../../../src/encoder/importing/import-encoder.js';
import { openEncoder } from '../../../src/encoder/open-encoder.js';
import { readSavedEncoder } from '../../../src/encoder/saved-encoder.js';
import { SearchError } from '../../../src/errors.js';
import type { Pixels } from '../../../src/images/pixels.js';
import { seededRandom } from '../../../src/seeded-random.js';
import { leastCosine, randomPixels } from '../programs.js';
import { foreignModel, SIDE, withExternalData } from './foreign-models.js';

type Files = Readonly<Record<string, Uint8Array | string | object>>;

/** Writes files to a folder, imports it and hands the result on. */
async function importing<T>(
  files: Files,
  options: Partial<ImportOptions> & { readonly path?: string },
  check: (imported: ImportedEncoder) => Promise<T>,
): Promise<T> {
  const root = await mkdtemp(join(tmpdir(), 'likeness-import-'));
  try {
    const from = join(root, 'source');
    for (const [name, content] of Object.entries(files)) {
      await mkdir(dirname(join(from, name)), { recursive: true });
      const isRaw = typeof content === 'string' || content instanceof Uint8Array;
      await writeFile(join(from, name), isRaw ? content : JSON.stringify(content));
    }
    const { path = '', ...rest } = options;
    const out = join(root, 'models', 'imported');
    return await check(await importEncoder({ from: join(from, path), out, name: 'imported', replace: false, ...rest }));
  } finally {
    await rm(root, { recursive: true });
  }
}

const refused = (files: Files, options: Partial<ImportOptions> & { readonly path?: string }, message: RegExp) =>
  assert.rejects(
    importing(files, options, async () => undefined),
    (error: unknown) => {
      assert.ok(error instanceof SearchError, String(error));
      assert.equal(error.code, 'INVALID_ENCODER');
      assert.match(error.message, message);
      return true;
    },
  );

const PICTURES = Array.from({ length: 5 }, (_, index) => randomPixels(SIDE, seededRandom(index)));

/** Runs the model itself: normalised pixels in, the raw output of the first picture after the other. */
async function rawOutputs(
  onnx: Uint8Array,
  options: {
    readonly input?: string;
    readonly type?: 'float32' | 'uint8';
    readonly layout?: 'NCHW' | 'NHWC';
    readonly mean?: readonly number[];
    readonly std?: readonly number[];
    readonly output: string;
    readonly feeds?: Record<string, Tensor>;
  },
): Promise<{ readonly dims: readonly number[]; readonly data: Float32Array }[]> {
  const {
    input = 'pixel_values',
    type = 'float32',
    layout = 'NCHW',
    mean = [0, 0, 0],
    std = [1, 1, 1],
    output,
  } = options;
  const session = await InferenceSession.create(onnx, { logSeverityLevel: 3 });
  const results = [];
  for (const { rgb } of PICTURES) {
    const area = SIDE * SIDE;
    const values = Array.from({ length: area * 3 }, (_, at) => {
      const [pixel, c] = layout === 'NHWC' ? [Math.floor(at / 3), at % 3] : [at % area, Math.floor(at / area)];
      const byte = rgb[pixel * 3 + c]!;
      return type === 'uint8' ? byte : (byte / 255 - mean[c]!) / std[c]!;
    });
    const dims = layout === 'NHWC' ? [1, SIDE, SIDE, 3] : [1, 3, SIDE, SIDE];
    const tensor = type === 'uint8' ? new Tensor('uint8', values, dims) : new Tensor('float32', values, dims);
    const outputs = await session.run({ [input]: tensor, ...options.feeds }, [output]);
    results.push({ dims: outputs[output]!.dims, data: outputs[output]!.data as Float32Array });
  }
  await session.release();
  return results;
}

/** The embeddings of the imported encoder, asked for all at once, and its feature maps. */
async function embeddings(folder: string, pictures: readonly Pixels[] = PICTURES) {
  const encoder = await openEncoder({ folder, device: 'cpu', threads: 1 });
  try {
    return await Promise.all(
      pictures.map((pixels) => encoder.encode(pixels, { features: encoder.description.hasFeatures ?? false })),
    );
  } finally {
    await encoder.close();
  }
}

async function assertGives(imported: ImportedEncoder, expected: readonly Float32Array[]): Promise<void> {
  const { folder, manifest } = imported.encoder;
  assert.equal((await readSavedEncoder(folder)).manifest.id, manifest.id);
  const given = await embeddings(folder);
  for (const [index, vector] of expected.entries()) {
    const cosine = leastCosine(given[index]!.embedding, vector, manifest.dimensions);
    assert.ok(cosine > 0.99999, `picture ${index}: cosine ${cosine}`);
  }
}

/** The mean over places of a map [1, C, h, w]. */
const meanOfMap = ({ dims, data }: { readonly dims: readonly number[]; readonly data: Float32Array }): Float32Array => {
  const area = dims[2]! * dims[3]!;
  return Float32Array.from({ length: dims[1]! }, (_, c) =>
    data.subarray(c * area, (c + 1) * area).reduce((sum, value) => sum + value / area, 0),
  );
};

const HUGGING_FACE = {
  do_resize: true,
  size: { shortest_edge: 20 },
  resample: 3,
  do_center_crop: true,
  crop_size: { height: SIDE, width: SIDE },
  do_rescale: true,
  rescale_factor: 1 / 255,
  do_normalize: true,
  image_mean: [0.5, 0.4, 0.3],
  image_std: [0.2, 0.3, 0.25],
};
const NORMALISED = { mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.25] };

test('a Hugging Face folder: the class token is the embedding, the patches are the features', async () => {
  const onnx = foreignModel({ end: 'tokens' });
  const files = { 'preprocessor_config.json': HUGGING_FACE, 'config.json': { patch_size: 4 }, 'onnx/model.onnx': onnx };
  await importing(files, {}, async (imported) => {
    const { preprocessing, outputs, dimensions, batch } = imported.encoder.manifest;
    assert.equal(imported.layout, 'Hugging Face');
    assert.deepEqual(preprocessing.resize, { to: { shortest: 20 }, kernel: 'bicubic', antialias: true });
    assert.deepEqual(outputs.features, { name: 'features', channels: 8, grid: { width: 4, height: 4 } });
    assert.deepEqual([dimensions, batch], [8, undefined]);
    const raw = await rawOutputs(onnx, { output: 'last_hidden_state', ...NORMALISED });
    await assertGives(
      imported,
      raw.map(({ data }) => data.slice(0, 8)),
    );
    const [first] = await embeddings(imported.encoder.folder);
    const patch = (place: number) => Array.from({ length: 8 }, (_, c) => first!.features!.values[c * 16 + place]!);
    assert.deepEqual(patch(0), [...raw[0]!.data.slice(8, 16)], 'the first patch follows the class token');
    assert.deepEqual(patch(15), [...raw[0]!.data.slice(16 * 8, 17 * 8)]);
  });
});

test('two towers in one program: the text is left out, the projected embedding is taken', async () => {
  const onnx = foreignModel({ end: 'vector', hasText: true });
  const files = { 'preprocessor_config.json': HUGGING_FACE, 'model.onnx': onnx };
  await importing(files, {}, async (imported) => {
    const feeds = { input_ids: new Tensor('int64', new BigInt64Array(77), [1, 77]) };
    const raw = await rawOutputs(onnx, { output: 'image_embeds', ...NORMALISED, feeds });
    await assertGives(
      imported,
      raw.map(({ data }) => data),
    );
    assert.equal(imported.encoder.manifest.outputs.features, undefined);
  });
});

test('a bare .onnx file with a preset: channels last, bytes in, a map averaged', async () => {
  const onnx = foreignModel({ input: 'image', type: 'uint8', layout: 'NHWC', end: 'map', output: 'pixels' });
  await importing({ 'net.onnx': onnx }, { path: 'net.onnx', preset: 'bytes' }, async (imported) => {
    assert.equal(imported.encoder.manifest.preprocessing.layout, 'NHWC');
    const raw = await rawOutputs(onnx, { input: 'image', type: 'uint8', layout: 'NHWC', output: 'pixels' });
    await assertGives(imported, raw.map(meanOfMap));
    assert.deepEqual(imported.guessed, ['pooling by mean (--pool)']);
  });
});

test('a model made for one picture runs pictures one by one', async () => {
  const onnx = foreignModel({ input: 'image', isFixed: true, end: 'vector', output: 'embedding' });
  const files = {
    'config.json': { embed_dim: 6 },
    'visual/model.onnx': onnx,
    'visual/preprocess_cfg.json': {
      size: [SIDE, SIDE],
      ...NORMALISED,
      interpolation: 'bicubic',
      resize_mode: 'shortest',
    },
    'textual/model.onnx': onnx,
  };
  await importing(files, {}, async (imported) => {
    assert.equal(imported.layout, 'Immich');
    assert.equal(imported.encoder.manifest.batch, 1);
    const raw = await rawOutputs(onnx, { input: 'image', output: 'embedding', ...NORMALISED });
    await assertGives(
      imported,
      raw.map(({ data }) => data),
    );
  });
});

test('a fixed batch that the graph does not need is freed', async () => {
  const onnx = foreignModel({ isFixed: true, end: 'map' });
  // Only the declarations are fixed here: a map needs none of the reshapes.
  await importing({ 'net.onnx': onnx }, { preset: 'imagenet' }, async ({ encoder }) => {
    assert.equal(encoder.manifest.batch, undefined);
    const [first] = await embeddings(encoder.folder);
    assert.equal(first!.features!.width, 4);
  });
});

test('preprocessing of open_clip and timm beside the program', async () => {
  const onnx = foreignModel({ end: 'vector' });
  const openClip = { model_cfg: {}, preprocess_cfg: { size: SIDE, resize_mode: 'longest', fill_color: 7 } };
  await importing({ 'open_clip_config.json': openClip, 'model.onnx': onnx }, {}, async ({ encoder }) => {
    const { resize, fit, mean } = encoder.manifest.preprocessing;
    assert.deepEqual(resize?.to, { longest: SIDE });
    assert.deepEqual([fit, mean[0], resize?.pad?.colour], ['contain', 0.48145466, [7, 7, 7]]);
  });
  const timm = { pretrained_cfg: { input_size: [3, SIDE, SIDE], crop_pct: 0.8, interpolation: 'bicubic' } };
  await importing({ 'config.json': timm, 'model.onnx': onnx }, {}, async ({ encoder }) =>
    assert.deepEqual(encoder.manifest.preprocessing.resize?.to, { shortest: 20 }),
  );
});

test('weights in another file become part of the program', async () => {
  const plain = foreignModel({ end: 'vector' });
  const { onnx, data } = withExternalData(plain, { location: 'model.onnx_data', offset: '4' });
  const shifted = Buffer.concat([Buffer.alloc(4), data]);
  const files = { 'preprocessor_config.json': HUGGING_FACE, 'onnx/model.onnx': onnx, 'onnx/model.onnx_data': shifted };
  await importing(files, {}, async (imported) => {
    const raw = await rawOutputs(plain, { output: 'image_embeds', ...NORMALISED });
    await assertGives(
      imported,
      raw.map(({ data: vector }) => vector),
    );
  });
});

test('a variant by its suffix, and half precision at the input', async () => {
  const onnx = foreignModel({ type: 'float16', end: 'vector' });
  const files = {
    'preprocessor_config.json': HUGGING_FACE,
    'onnx/model.onnx': foreignModel({ end: 'nan' }),
    'onnx/model_fp16.onnx': onnx,
  };
  await importing(files, { variant: 'fp16' }, async (imported) => {
    assert.ok(imported.taken.includes('program: onnx/model_fp16.onnx'));
    assert.ok(imported.taken.some((fact) => /pixel_values, float16/.test(fact)));
    assert.equal((await embeddings(imported.encoder.folder)).length, PICTURES.length);
  });
});

test('an older opset takes its axes as attributes', async () => {
  for (const opset of [12, 17])
    await importing({ 'net.onnx': foreignModel({ opset }) }, { preset: 'clip', pooling: 'gem' }, async ({ encoder }) =>
      assert.equal(encoder.manifest.dimensions, 8),
    );
});

test('what is no encoder is refused, with the reason', async () => {
  const preset = { preset: 'imagenet' } as const;
  const bare = (end: Parameters<typeof foreignModel>[0]) => ({ 'net.onnx': foreignModel(end) });
  await refused(bare({ end: 'logits' }), preset, /scores of classes.*Give --output mean, the value before/);
  await refused(bare({ end: 'logits', output: 'out' }), preset, /scores of classes/);
  await refused(bare({ end: 'constant' }), preset, /the same embedding for all test pictures/);
  await refused(bare({ end: 'line' }), preset, /on one line|the same embedding/);
  await refused(bare({ end: 'nan' }), preset, /NaN/);
  await refused(bare({ end: 'vector' }), {}, /without its preprocessing.*--preset/);
  await refused(bare({ end: 'vector', hasText: true, output: 'other' }), preset, /outputs \[text_embeds, other\]/);
  await importing(bare({ end: 'logits' }), { ...preset, output: 'mean' }, async ({ encoder }) =>
    assert.equal(encoder.manifest.dimensions, 8),
  );
});

test('damaged and hostile folders are refused, with the file and the remedy', async () => {
  const onnx = foreignModel({ end: 'vector' });
  const processor = { 'preprocessor_config.json': HUGGING_FACE };
  await refused({ 'README.md': 'x' }, {}, /holds no \.onnx file/);
  await refused({ 'a.onnx': onnx, 'b.onnx': onnx }, {}, /several programs.*--variant/);
  await refused({ ...processor, 'model.onnx': onnx.subarray(0, onnx.length / 2) }, {}, /model\.onnx is damaged/);
  await refused({ ...processor, 'model.onnx': 'no model at all' }, {}, /model\.onnx (is damaged|holds no graph)/);
  await refused(
    { 'preprocessor_config.json': '{"size":', 'model.onnx': onnx },
    {},
    /preprocessor_config\.json is not JSON/,
  );
  await refused({ 'preprocessor_config.json': '7', 'model.onnx': onnx }, {}, /holds no settings/);
  const wrong = (changes: object) => ({
    'preprocessor_config.json': { ...HUGGING_FACE, ...changes },
    'model.onnx': onnx,
  });
  await refused(wrong({ crop_size: 32 }), {}, /32x32 pixels, the program takes 16x16/);
  await refused(wrong({ size: -3 }), {}, /has the size -3/);
  await refused(wrong({ resample: 9 }), {}, /resample 9/);
  await refused(wrong({ image_mean: ['a', 1, 2] }), {}, /image_mean must be three numbers/);
  await refused(wrong({ do_resize: false }), {}, /does not resize/);
  const external = (entries: Readonly<Record<string, string>>) => ({
    ...processor,
    'model.onnx': withExternalData(onnx, entries).onnx,
    'data.bin': new Uint8Array(64),
  });
  for (const location of ['../../etc/passwd', '/etc/passwd', 'a/../../x'])
    await refused(external({ location }), {}, /outside of its folder/);
  await refused(external({ location: 'absent.bin' }), {}, /absent\.bin, which is missing/);
  await refused(external({ location: 'data.bin', length: '10000000000' }), {}, /claims 10000000000 bytes.*has 64/);
  await refused(external({ location: 'data.bin', length: '-1' }), {}, /claims -1 bytes/);
  await refused(external({ location: 'data.bin' }), {}, /does not run/);
});

/** A graph model of TensorFlow.js with one convolution and a bias in half precision. */
function tensorFlowModel(): Record<string, Uint8Array | object> {
  const random = seededRandom(3);
  const kernel = Uint16Array.from({ length: 4 * 4 * 3 * 5 }, () => (random() < 0.5 ? 0x3800 : 0xb400)); // 0.5 or -0.25
  const ints = Int32Array.of(1, 2);
  const dim = (...sizes: number[]) => ({ shape: { dim: sizes.map((size) => ({ size: String(size) })) } });
  const list = (...values: number[]) => ({ list: { i: values.map(String) } });
  const node = (name: string, op: string, input: string[], attr: object) => ({ name, op, input, attr });
  const constant = (name: string, dtype: string) => node(name, 'Const', [], { dtype: { type: dtype } });
  return {
    'group1-shard1of2.bin': Buffer.from(kernel.buffer).subarray(0, 100),
    'group1-shard2of2.bin': Buffer.concat([Buffer.from(kernel.buffer).subarray(100), Buffer.from(ints.buffer)]),
    'model.json': {
      format: 'graph-model',
      modelTopology: {
        node: [
          node('images', 'Placeholder', [], { dtype: { type: 'DT_FLOAT' }, shape: dim(-1, SIDE, SIDE, 3) }),
          constant('kernel', 'DT_FLOAT'),
          constant('axes', 'DT_INT32'),
          node('conv', 'Conv2D', ['images', 'kernel'], {
            T: { type: 'DT_FLOAT' },
            strides: list(1, 4, 4, 1),
            dilations: list(1, 1, 1, 1),
            padding: { s: Buffer.from('VALID').toString('base64') },
            data_format: { s: Buffer.from('NHWC').toString('base64') },
          }),
          node('active', 'Relu', ['conv'], { T: { type: 'DT_FLOAT' } }),
          node('pooled', 'Mean', ['active', 'axes'], { keep_dims: { b: false }, T: { type: 'DT_FLOAT' } }),
        ],
      },
      weightsManifest: [
        {
          paths: ['group1-shard1of2.bin', 'group1-shard2of2.bin'],
          weights: [
            {
              name: 'kernel',
              shape: [4, 4, 3, 5],
              dtype: 'float32',
              quantization: { dtype: 'float16', original_dtype: 'float32' },
            },
            { name: 'axes', shape: [2], dtype: 'int32' },
          ],
        },
      ],
    },
  };
}

test('a TensorFlow.js graph model, by its output and by a node inside', async () => {
  const files = tensorFlowModel();
  await importing(files, { preset: 'tensorflow' }, async ({ encoder, layout }) => {
    assert.equal(layout, 'TensorFlow.js');
    assert.equal(encoder.manifest.dimensions, 5);
    const pooled = await embeddings(encoder.folder);
    await importing(files, { preset: 'tensorflow', output: 'active' }, async (inside) => {
      assert.deepEqual(inside.encoder.manifest.outputs.features?.grid, { width: 4, height: 4 });
      await assertGives(
        inside,
        pooled.map(({ embedding }) => embedding),
      );
    });
  });
});

test('a TensorFlow.js model that cannot be imported says why', async () => {
  const files = tensorFlowModel();
  const model = files['model.json'] as { weightsManifest: object[]; modelTopology: object };
  const preset = { preset: 'bytes' } as const;
  await refused(files, { ...preset, output: 'nowhere' }, /no node nowhere; its nodes: conv, active, pooled/);
  await refused(
    { 'model.json': { ...model, modelTopology: { class_name: 'Sequential' } } },
    preset,
    /not a graph model/,
  );
  await refused({ 'model.json': model }, preset, /group1-shard1of2\.bin/);
  await refused(
    { ...files, 'group1-shard2of2.bin': new Uint8Array(3) },
    preset,
    /asks for 488 bytes of weights.*hold 103/,
  );
  const elsewhere = { ...model, weightsManifest: [{ paths: ['../../etc/passwd'], weights: [] }] };
  await refused({ 'model.json': elsewhere }, preset, /shards lie beside model\.json/);
});

test('the golden picture is compared at every start, and by the command on each device', async (t) => {
  const lines: string[] = [];
  t.mock.method(console, 'log', (line: string) => lines.push(line));
  await importing({ 'net.onnx': foreignModel() }, { preset: 'clip' }, async ({ encoder }) => {
    const { folder, manifest } = encoder;
    assert.equal(manifest.golden, true);
    assert.equal(await runEncoderCheck(folder), 0);
    assert.ok(lines.some((line) => /cpu: cosine 1\.00000/.test(line)));
    assert.ok(lines.some((line) => /tensorflow: cosine 0\.9999|tensorflow: cosine 1\.0/.test(line)));
    const file = join(folder, 'golden.f32');
    const vector = new Float32Array(new Uint8Array(await readFile(file)).buffer);
    await writeFile(file, new Uint8Array(vector.toReversed().buffer));
    const start = () => openEncoder({ folder, device: 'cpu', threads: 1 });
    const invalid = (message: RegExp) => ({ code: 'INVALID_ENCODER', message });
    await assert.rejects(start(), invalid(/golden picture gives another vector than at import/));
    assert.equal(await runEncoderCheck(folder), 1);
    await writeFile(file, new Uint8Array(vector.buffer).subarray(4));
    await assert.rejects(start(), invalid(/golden\.f32 is cut or of another encoder/));
    await rm(join(folder, 'golden.png'));
    await writeFile(file, new Uint8Array(vector.buffer));
    await assert.rejects(start(), invalid(/golden\.png cannot be read/));
  });
});

test('a picture and vector of its makers prove an import, or refuse it', async () => {
  const onnx = foreignModel({ end: 'vector' });
  const [picture] = PICTURES;
  const png = await sharp(picture!.rgb, { raw: { width: SIDE, height: SIDE, channels: 3 } })
    .png()
    .toBuffer();
  const [raw] = await rawOutputs(onnx, { output: 'image_embeds', ...NORMALISED });
  const folder = await mkdtemp(join(tmpdir(), 'likeness-golden-'));
  try {
    const golden = { picture: join(folder, 'golden.png'), vector: join(folder, 'golden.json') };
    await writeFile(golden.picture, png);
    await writeFile(golden.vector, JSON.stringify([[...raw!.data]]));
    const exact = { ...HUGGING_FACE, size: { height: SIDE, width: SIDE } };
    const files = { 'preprocessor_config.json': exact, 'model.onnx': onnx };
    await importing(files, { golden }, async ({ taken }) => assert.match(taken.at(-1)!, /^proved: /));
    // The values of the file in another range, and the vector of another output.
    const wrong = { ...files, 'preprocessor_config.json': { ...exact, do_normalize: false } };
    await refused(wrong, { golden }, /gives another vector than the given one/);
    await refused(files, { golden, output: 'map' }, /has 6 numbers, the embedding 8/);
    await writeFile(golden.vector, '"text"');
    await refused(files, { golden }, /golden\.json is not a JSON array of numbers/);
  } finally {
    await rm(folder, { recursive: true });
  }
});
