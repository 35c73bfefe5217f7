import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compileProgram } from '../../../src/compile/program.js';
import { BatchMaker } from '../../../src/training/batches.js';
import { changed } from '../../../src/training/read-recipe.js';
import { checkedRecipe, type Recipe } from '../../../src/training/recipe.js';
import { RECIPES } from '../../../src/training/recipes.js';
import { ABLATION_ROWS } from '../../../src/training/runs/ablation.js';
import { trainingProgram } from '../../../src/training/training-program.js';
import { packedTextures, temporaryFolder } from '../temporary-folder.js';
import { tinySeed } from '../tiny-recipes.js';

function rowOf(base: Recipe, name: string): Recipe {
  const row = ABLATION_ROWS.find((each) => each.name === name)!;
  return checkedRecipe(changed(base, { ...row.changes, name }), name);
}

test('every row is a valid change of the seed, and no two rows are the same', () => {
  const recipes = ABLATION_ROWS.map(({ name }) => JSON.stringify({ ...rowOf(RECIPES.seed, name), name: '' }));
  assert.equal(new Set(recipes).size, ABLATION_ROWS.length);
  assert.equal(
    recipes[ABLATION_ROWS.findIndex(({ name }) => name === 'both')],
    JSON.stringify({ ...RECIPES.seed, name: '' }),
  );
});

for (const { name } of ABLATION_ROWS) {
  test(`a step of row ${name} runs and its terms are numbers`, async (t) => {
    const dataset = await packedTextures(t, { folder: await temporaryFolder(t), count: 16 });
    const recipe = rowOf(tinySeed({ optimiser: { batchSize: 8 } }), name);
    const { definition, initialState } = trainingProgram(recipe);
    const program = await compileProgram(definition, { threads: 1 });
    t.after(() => program.close());
    program.writeState(initialState);
    const feeds = new BatchMaker(recipe, { reader: dataset, count: dataset.count }).make(0);
    const outputs = await program.run({ ...feeds, learningRate: Float32Array.of(recipe.optimiser.learningRate) });
    for (const term of ['loss', 'global', 'local', 'prior'])
      assert.ok(Number.isFinite(outputs[term]![0]), `${term} ${outputs[term]![0]}`);
    assert.equal(outputs.global![0] === 0, recipe.global.weight === 0);
    assert.equal(outputs.local![0] === 0, recipe.local.weight === 0);
    const weights = program.readState()['encoder.stage0.filter']!;
    const isSame = Buffer.from(weights.buffer).equals(Buffer.from(initialState['encoder.stage0.filter']!.buffer));
    assert.equal(isSame, recipe.optimiser.learningRate === 0, 'weights move, unless they must not');
  });
}
