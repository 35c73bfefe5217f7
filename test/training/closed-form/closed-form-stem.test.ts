import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openOnnxRuntime } from '../../../src/encoder/onnx-runtime.js';
import { openTensorFlowRuntime } from '../../../src/encoder/tensorflow-runtime.js';
import { SearchError } from '../../../src/errors.js';
import { writeInputTensor } from '../../../src/images/preprocessing.js';
import { fitClosedForm } from '../../../src/training/closed-form/closed-form.js';
import { fitClosedFormEncoder, saveClosedForm } from '../../../src/training/closed-form/closed-form-export.js';
import { optionsOnStem, readClosedFormStem } from '../../../src/training/closed-form/closed-form-stem.js';
import { shrinkPixels } from '../../../src/training/resample.js';
import { SMALL, wavyPictures } from './closed-form-reference.js';

const DATA_FACTS = { data: 'waves', licence: 'none needed', command: 'this test' };

test('on a stem only the last projection is fitted; patches, codes and their settings are the saved ones', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'likeness-stem-'));
  try {
    const whole = await fitClosedForm({ images: wavyPictures(120, 8, 2), settings: SMALL });
    const dataFacts = { ...DATA_FACTS, licence: 'CC0' };
    const saved = await saveClosedForm({ fit: whole, out: join(folder, 'stem'), name: 'stem', dataFacts });
    const stem = await readClosedFormStem(join(folder, 'stem'));
    assert.deepEqual(
      [stem.name, stem.id, stem.data, stem.codes.even],
      ['stem', saved.manifest.id, 'waves', whole.codes.even],
    );
    assert.deepEqual(stem.dictionary, whole.dictionary);

    // Fitted to the same pictures again, on its own stem, the encoder is the same to the last bit.
    const steps = new Set<string>();
    const again = await fitClosedForm({
      images: wavyPictures(120, 8, 2),
      settings: { ...SMALL, atoms: 8, threshold: 0.7 },
      stem,
      onProgress: ({ step }) => steps.add(step),
    });
    assert.deepEqual([...steps], ['views']);
    assert.deepEqual(again.settings, whole.settings);
    assert.deepEqual(optionsOnStem(stem, { stride: 2, atoms: 8 }), { ...stem.settings, stride: 2 });
    assert.deepEqual(again.cells.weights, whole.cells.weights);

    // Given twice as large, pictures are shrunk before they are coded.
    const large = wavyPictures(40, 16, 3);
    const options = { ...SMALL, oversampling: 2, frameProbability: 0.5 };
    const fine = await fitClosedForm({ images: large, settings: options });
    const patches = await fitClosedForm({
      images: large.map((pixels) => shrinkPixels(pixels, 2)),
      settings: { ...options, oversampling: 1 },
    });
    assert.deepEqual(fine.codes, patches.codes);
    assert.notDeepEqual(fine.cells, patches.cells);

    // Other pictures of another size: fewer than codes would need.
    const settings = { ...SMALL, side: 12, dimensions: 3, frameProbability: 0.5 };
    const adapted = await fitClosedFormEncoder({
      images: wavyPictures(5, 12, 9),
      settings,
      stem,
      out: join(folder, 'adapted'),
      name: 'adapted',
      dataFacts,
    });
    assert.equal(adapted.manifest.training.stemId, saved.manifest.id);
    assert.equal(adapted.manifest.dataLicence, 'CC0 Stem: CC0');
    assert.match(
      await readFile(join(folder, 'adapted', 'README.md'), 'utf8'),
      /5 images.*Stem.*`stem`.*fitted to waves/s,
    );
    const { preprocessing } = adapted.manifest;
    const target = new Float32Array(3 * 3 * 144);
    for (const [index, pixels] of wavyPictures(3, 12, 77).entries())
      writeInputTensor({ pixels, preprocessing, target, index });
    const onnx = await openOnnxRuntime(adapted, { device: 'cpu', threads: 1 });
    const tensorflow = await openTensorFlowRuntime(adapted, { device: 'tensorflow' });
    const [embeddings, theirs] = [await onnx.run(target, 3), await tensorflow.run(target, 3)];
    await Promise.all([onnx.close(), tensorflow.close()]);
    assert.equal(embeddings.length, 3 * settings.dimensions);
    for (const [at, value] of theirs.entries())
      assert.ok(Math.abs(value - embeddings[at]!) < 1e-5, `value ${at}: ${value}`);

    await assert.rejects(
      fitClosedForm({ images: wavyPictures(3, 12, 9), settings, stem }),
      withCode('INVALID_SETTINGS', /3 directions need more images.*there are 3/),
    );
    await assert.rejects(
      readClosedFormStem('models/whitening-cifar10'),
      withCode('INVALID_SETTINGS', /whitening-cifar10 is no stem/),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

function withCode(code: string, message: RegExp) {
  return (error: unknown) => error instanceof SearchError && error.code === code && message.test(error.message);
}

test('a shrunk picture has the means of its squares, rounded; other factors are refused', () => {
  const rgb = Uint8Array.from([0, 10, 20, 1, 10, 20, 2, 10, 20, 4, 10, 21, 255, 0, 0, 255, 0, 0, 255, 0, 0, 254, 4, 0]);
  assert.deepEqual(shrinkPixels({ width: 4, height: 2, rgb }, 2), {
    width: 2,
    height: 1,
    rgb: Uint8Array.from([128, 5, 10, 129, 6, 10]),
  });
  assert.throws(() => shrinkPixels({ width: 4, height: 2, rgb }, 3), /do not shrink by 3/);
});
