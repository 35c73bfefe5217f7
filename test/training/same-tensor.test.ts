import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { openDecoding } from '../../src/datasets/decoding.js';
import { openFolderDataset } from '../../src/datasets/folder-dataset.js';
import { packDataset } from '../../src/datasets/packed-dataset.js';
import { writeInputTensor } from '../../src/images/preprocessing.js';
import { BatchMaker, epochOrder } from '../../src/training/batches.js';
import { preprocessingOf } from '../../src/training/recipe.js';
import { saveTrainedEncoder } from '../../src/training/save-trained-encoder.js';
import { trainingProgram } from '../../src/training/training-program.js';
import { pictures } from '../commands/command-line.js';
import { temporaryFolder } from './temporary-folder.js';
import { tinySeed } from './tiny-recipes.js';

test('an image is the same tensor at training, indexing and search', async (t) => {
  const folder = await temporaryFolder(t);
  const data = await pictures(t, folder);
  const recipe = tinySeed({ optimiser: { batchSize: 8 } });
  const decoding = openDecoding(preprocessingOf(recipe));
  t.after(() => decoding.close());
  const { decode } = decoding;
  const dataset = await openFolderDataset(data);
  const packed = await packDataset({
    dataset,
    source: 'x',
    preprocessing: preprocessingOf(recipe),
    decode,
    folder: join(folder, 'cache'),
  });
  t.after(() => packed.close());
  const { images } = new BatchMaker(recipe, { reader: packed, count: packed.count }).make(0);

  // What the service does with an upload: decode by the manifest's preprocessing, write the encoder's tensor.
  const { manifest } = await saveTrainedEncoder({
    recipe,
    outcome: {
      trained: { step: 0, state: trainingProgram(recipe).initialState },
      engineName: 'none',
      seconds: 0,
      ended: 'finished',
    },
    folder: join(folder, 'encoder'),
    name: 'untrained',
    facts: { data: 'test', images: packed.count, licence: 'none', command: 'test' },
    replace: false,
  });
  const service = openDecoding(manifest.preprocessing);
  t.after(() => service.close());
  const order = epochOrder(recipe.seed, 0, packed.count);
  const size = images!.length / 8;
  for (let place = 0; place < 8; place++) {
    const pixels = await service.decode(await readFile(join(data, packed.names[order[place]!]!)));
    const tensor = new Float32Array(size);
    writeInputTensor({ pixels, preprocessing: manifest.preprocessing, target: tensor, index: 0 });
    assert.deepEqual(tensor, images!.slice(place * size, (place + 1) * size));
  }
});
