#!/usr/bin/env node
/** The command line: parses flags, calls one function, sets the exit code. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { systemErrorMessage } from './errors.js';
import { requireNativeModules } from './native-modules.js';
import { flagOf, SETTING_GROUPS, SETTINGS, type Setting, type SettingName, variableOf } from './settings.js';

const DEFAULT_CACHE = join(homedir(), '.cache', 'likeness');
const PRESETS = ['imagenet', 'dinov2', 'clip', 'siglip', 'tensorflow', 'bytes'];
const MEBIBYTE = 1024 * 1024;
const PICTURES =
  'folder of pictures, of CIFAR-10 batches or of IDX files (MNIST), an IDX images file, or cifar10 (downloaded once)';

const program = new Command('likeness')
  .description('Reverse image search that learns from your own pictures.')
  .version('0.1.0')
  .showHelpAfterError('(likeness COMMAND --help tells more)')
  .addHelpText(
    'after',
    `
A first round:
  likeness serve                               start on http://127.0.0.1:8080, catalogue in ./data
  likeness import ~/Pictures                   add a folder to the running service
  likeness search holiday.jpg                  print the nearest images

Exit codes: 0 done; 1 not done, the message says why; 2 done, but some files failed; 130 stopped by Ctrl-C.`,
  );

const serve = program
  .command('serve')
  .description('Start the service. Every flag is also an environment variable; the flag takes precedence.')
  .addHelpText(
    'after',
    '\nSIGTERM or Ctrl-C stops it after the requests in progress; a second signal stops it at once.',
  )
  .action(run(() => import('./commands/service.js'), 'runServe'));
for (const [title, settings] of Object.entries(SETTING_GROUPS)) {
  for (const [name, setting] of Object.entries(settings) as [SettingName, Setting][])
    serve.addOption(settingOption(name, setting).helpGroup(`${title}:`));
}

withService(program.command('import').argument('<path>', 'folder, picture, .zip, .tar or .tar.gz'))
  .description('Add every picture of a folder or archive. Run it again to resume: stored files are skipped.')
  .option('--concurrency <n>', 'files in progress at once', wholeNumber(1, 256), 8)
  .option('--replace', 'replace a stored image of the same id and other content', false)
  .addOption(
    new Option('--ids <kind>', 'id of an image: its relative path, or a hash of its content')
      .choices(['path', 'hash'])
      .default('path'),
  )
  .option('--metadata <file>', 'JSON lines: {"file": "relative/name.jpg", ...metadata}')
  .option('--failures <file>', 'file for the list of failures, JSON lines', 'import-failures.jsonl')
  .option(
    '--max-file-bytes <n>',
    'larger files are not read and count as failures',
    wholeNumber(1, 2 ** 31),
    10 * MEBIBYTE,
  )
  .action(run(() => import('./commands/import.js'), 'runImport', { needsNative: false }));

withService(program.command('search').argument('<file>', 'picture to search for'))
  .description('Print the nearest images to a picture, best first.')
  .option('-k, --k <n>', 'number of results', wholeNumber(1, 1000), 10)
  .option('--min-score <score>', 'minimum cosine similarity', Number)
  .option('--filter <json>', 'filter on metadata; see docs/api.md')
  .option('--json', 'print the whole response', false)
  .action(run(() => import('./commands/search.js'), 'runSearch', { needsNative: false }));

program
  .command('export')
  .description(
    'Write every record of a collection as JSON lines: id, metadata, hashes and, with --embeddings, the embedding.',
  )
  .requiredOption('--data <folder>', 'folder of the catalogue; no service may be running on it')
  .option('--collection <name>', 'collection', 'default')
  .option('--embeddings', 'add the embeddings, arrays of numbers', false)
  .option('--out <file>', 'file to write (default: standard output)')
  .action(run(() => import('./commands/export.js'), 'runExport'));

program
  .command('check')
  .description('Verify the database and its indexes. Changes nothing.')
  .option('--data <folder>', 'folder of the catalogue; no service may be running on it', SETTINGS.data.default)
  .option('--deep', 'also compare every vector of the indexes with its record', false)
  .option(
    '--hnsw-m <n>',
    'value of --hnsw-m with which the indexes were written',
    wholeNumber(4, 64),
    SETTINGS.hnswM.default,
  )
  .action(run(() => import('./commands/snapshot.js'), 'runCheck'));

program
  .command('snapshot')
  .description(
    'Write a verified copy of all collections to one file: of a running service, or of a folder without one.',
  )
  .option('--url <url>', 'running service (LIKENESS_URL; default: http://127.0.0.1:8080)')
  .option('--api-key <key>', 'its key, of role admin (better: LIKENESS_API_KEY)')
  .option('--data <folder>', 'folder of the catalogue; no service may be running on it')
  .requiredOption('--out <file>', 'file to write, a tar; an existing file is replaced when the new one is complete')
  .option('--keep', 'also keep the snapshot in the service', false)
  .action(run(() => import('./commands/snapshot.js'), 'runSnapshot'));

program
  .command('restore')
  .argument('<file>', 'snapshot')
  .description('Create a data folder from a snapshot after verifying every byte of it.')
  .requiredOption('--data <folder>', 'folder to create; it must be empty or not exist')
  .option(
    '--max-bytes <n>',
    'maximum unpacked size of the snapshot',
    wholeNumber(1, Number.MAX_SAFE_INTEGER),
    1024 * 1024 * MEBIBYTE,
  )
  .action(run(() => import('./commands/snapshot.js'), 'runRestore'));

program
  .command('fit-whitening')
  .description('Fit the whitening encoder (a baseline) to unlabelled pictures; takes minutes on a CPU.')
  .requiredOption('--data <folder>', PICTURES)
  .requiredOption('--out <folder>', 'folder of the saved encoder to write')
  .option('--cache <folder>', 'folder for decoded pictures and downloads', DEFAULT_CACHE)
  .option('--dimensions <n>', 'length of the embedding', wholeNumber(2, 3072), 256)
  .option(
    '--regularisation <x>',
    'added to every eigenvalue, in units of their mean; a larger value reduces the weight of fine detail',
    Number,
  )
  .option('--licence <text>', 'licence of the pictures, for the model card', 'not stated')
  .action(run(() => import('./commands/fit-whitening.js'), 'runFitWhitening'));

withTraining(program.command('train'), { recipe: 'photos', heldOut: 0.1 })
  .description(
    'Train an encoder on unlabelled pictures, save it, and compare it with the default encoder on held-out pictures. Run it again to continue after a stop.',
  )
  .addOption(
    new Option('--resume <how>', 'automatic: continue from the newest checkpoint; never: start anew')
      .choices(['automatic', 'never'])
      .default('automatic'),
  )
  .option('--no-evaluation', 'save the encoder without measuring it')
  .addOption(
    new Option('--backbone <folder>', 'saved encoder to learn on top of, by recipe adapt').implies({ recipe: 'adapt' }),
  )
  .option(
    '--taps <names>',
    "with --backbone: values of its program to learn from, separated by commas, the last layer's first (default: by shape)",
    (given: string) => given.split(','),
  )
  .option('--also <folder>', 'with --backbone: saved encoder whose embedding is joined, such as models/photos')
  .action(run(() => import('./commands/train.js'), 'runTrain'));

withMeasures(program.command('evaluate'))
  .description('Measure a saved encoder; write report.html and report.json.')
  .requiredOption('--model <folder>', 'saved encoder')
  .option('--data <folder>', PICTURES, 'cifar10')
  .option('--out <folder>', 'folder for the reports (default: that of the encoder)')
  .option('--device <device>', 'where the encoder runs', 'auto')
  .option('--threads <n>', 'CPU threads', wholeNumber(1, 256))
  .option('--seed <n>', 'seed of samples, sheets and edits', wholeNumber(0, 2 ** 32 - 1), 2018)
  .action(run(() => import('./commands/evaluate.js'), 'runEvaluate'));

const encoder = program.command('encoder').description('Bring an encoder from elsewhere.');
encoder
  .command('import')
  .argument('<path>', 'folder of a model (Hugging Face, optimum, Immich, open_clip, TensorFlow.js), or its .onnx file')
  .description('Make a saved encoder of a model; say what was taken from which file and what was guessed.')
  .requiredOption('--out <folder>', 'folder of the saved encoder to write')
  .option('--name <name>', "name of the encoder (default: the folder's)")
  .addOption(
    new Option('--preset <name>', 'preprocessing where the model comes without, or instead of its own').choices(
      PRESETS,
    ),
  )
  .option('--size <n>', 'side of the square input, where the model leaves it free', wholeNumber(8, 4096))
  .option('--output <value>', 'value in the model that is the embedding, or is pooled to it')
  .addOption(new Option('--pool <how>', 'how tokens or a map become one vector').choices(['cls', 'mean', 'gem', 'max']))
  .option('--variant <text>', "part of the program's file name: fp16, int8, quantized")
  .option('--licence <text>', 'licence of the model, for its card')
  .option('--replace', 'replace a saved encoder', false)
  .option('--golden <picture>', 'a picture whose vector is known: the import fails unless it gives that vector')
  .option('--golden-vector <file>', 'its vector, a JSON array of numbers')
  .action(run(() => import('./commands/encoder.js'), 'runEncoderImport'));
encoder
  .command('add')
  .argument('[name]', 'one of the list that is printed without a name, or OWNER/NAME on the hub')
  .description('Fetch a model from the Hugging Face hub, check every file, and make a saved encoder of it.')
  .option('--out <folder>', 'folder of the saved encoder to write (default: models/ and the name)')
  .option('--variant <text>', "part of the program's file name: fp16, int8, quantized")
  .option('--hub <url>', 'the hub, or a mirror of it', 'https://huggingface.co')
  .option('--cache <folder>', 'folder for downloads', DEFAULT_CACHE)
  .option('--replace', 'replace a saved encoder', false)
  .action(run(() => import('./commands/encoder.js'), 'runEncoderAdd'));
encoder
  .command('check')
  .argument('<folder>', 'saved encoder')
  .description('Encode the golden picture of a saved encoder on every device and compare with the stored vector.')
  .action(run(() => import('./commands/encoder.js'), 'runEncoderCheck'));

program
  .command('compare')
  .argument('<reports...>', 'report.json files, or folders that hold one')
  .description('Print a table of encoders from their reports.')
  .option('--out <file>', 'also write an HTML page with their sheets')
  .action(run(() => import('./commands/compare.js'), 'runCompare', { needsNative: false }));

withTraining(program.command('ablate'), { recipe: 'seed', heldOut: 0 })
  .description(
    'Ablation: train and measure a recipe with each option of the method changed, with one budget. Run it again to continue.',
  )
  .option('--rows <names>', 'only these rows, separated by commas; name@2019 is a row with another seed')
  .option('--beside <reports...>', 'reports of other encoders to add to the table')
  .action(run(() => import('./commands/ablate.js'), 'runAblate'));

program
  .command('key')
  .description('Create an API key and the line for --api-keys-file.')
  .addOption(new Option('--role <role>', 'what the key allows').choices(['read', 'write', 'admin']).default('read'))
  .option('--collection <names...>', 'limit the key to these collections (default: all)')
  .action(run(() => import('./commands/key.js'), 'runKey', { needsNative: false }));

program
  .command('docs', { hidden: true })
  .description('Write the documents that are generated from the code (for developers).')
  .action(run(() => import('./commands/docs.js'), 'runDocs'));

await program.parseAsync();

/**
 * The action of a command: loads its module, calls its function, sets the exit code. An error is printed in one
 * readable sentence.
 */
function run<Module, Name extends keyof Module>(
  load: () => Promise<Module>,
  name: Name,
  { needsNative = true } = {},
): (...given: unknown[]) => Promise<void> {
  return async (...given) => {
    try {
      if (needsNative) requireNativeModules();
      // Commander passes the arguments and flags that the command declares; undefined means that the process lives on.
      const command = (await load())[name] as (...given: unknown[]) => number | undefined | Promise<number | undefined>;
      const exitCode = await command(...given);
      if (exitCode !== undefined) process.exitCode = exitCode;
    } catch (error) {
      console.error(`likeness: ${describeError(error)}`);
      process.exitCode = 1;
    }
  };
}

/** One plain sentence. Messages of the service do not always have the remedy that its client knows. */
function describeError(error: unknown): string {
  const message = systemErrorMessage(error) ?? (error instanceof Error ? error.message : String(error));
  const { name, remedy } = error as { readonly name?: unknown; readonly remedy?: unknown }; // of a LikenessError
  if (name !== 'LikenessError' || typeof remedy !== 'string' || message.includes(remedy)) return message;
  return `${message.replace(/[^.!?]$/, '$&.')} ${remedy}`;
}

function withService(command: Command): Command {
  return command
    .option('--url <url>', 'running service (LIKENESS_URL; default: http://127.0.0.1:8080)')
    .option('--api-key <key>', 'its key (better: LIKENESS_API_KEY)')
    .option('--collection <name>', 'collection', 'default')
    .option('--data <folder>', 'use this catalogue folder without a running service')
    .option('--model <folder>', 'with --data: folder of the saved encoder')
    .option('--device <device>', 'with --data: where the encoder runs');
}

function withTraining(command: Command, { recipe, heldOut }: { recipe: string; heldOut: number }): Command {
  return withMeasures(command, heldOut)
    .requiredOption('--data <folder>', PICTURES)
    .requiredOption('--out <folder>', 'folder to write; checkpoints are kept beside it')
    .option(
      '--recipe <name>',
      'photos, adapt, closed-form, infomax, views, seed, seed-tiny-imagenet, or a JSON file ({"base": "seed", ...changes})',
      recipe,
    )
    .option(
      '--train-limit <n>',
      'train on at most n pictures, evenly spread, and search in them',
      wholeNumber(2, 2 ** 31),
    )
    .option('--epochs <n>', "passes over the pictures (default: the recipe's)", wholeNumber(0, 100_000))
    .option('--seed <n>', "seed of all random numbers (default: the recipe's)", wholeNumber(0, 2 ** 32 - 1))
    .addOption(new Option('--engine <engine>', 'what executes a step').choices(['onnx', 'tensorflow']).default('onnx'))
    .addOption(
      new Option('--device <device>', 'with --engine onnx: where it runs')
        .choices(['cpu', 'cuda', 'webgpu'])
        .default('cpu'),
    )
    .option('--threads <n>', 'CPU threads (default: all cores)', wholeNumber(1, 256))
    .option('--checkpoint-minutes <n>', 'minutes between checkpoints, besides the one after every epoch', Number, 5)
    .option('--checkpoint-steps <n>', 'steps between checkpoints', wholeNumber(1, 2 ** 31))
    .option('--epoch-sample <n>', 'pictures to measure after every epoch; 0 for none', wholeNumber(0, 2 ** 31), 6000)
    .option('--licence <text>', 'licence of the pictures, for the model card', 'not stated');
}

function withMeasures(command: Command, heldOut = 0): Command {
  return command
    .option(
      '--held-out <share>',
      "share of a folder's pictures that are not trained on but searched with",
      share,
      heldOut,
    )
    .option('--cache <folder>', 'folder for decoded pictures and downloads', DEFAULT_CACHE)
    .option('--limit <n>', 'maximum number of pictures of each part to measure', wholeNumber(2, 2 ** 31), 2 ** 31)
    .option('--query-limit <n>', 'maximum number of held-out pictures to search with', wholeNumber(2, 2 ** 31))
    .option(
      '--copies <n>',
      'number of pictures whose edited copies are searched for; 0 for none',
      wholeNumber(0, 1e6),
      100,
    )
    .option('--no-map', 'omit the 2-D projection of the embeddings')
    .option('--no-probes', 'omit the probes, which take longest');
}

function settingOption(name: SettingName, setting: Setting): Option {
  const unit = setting.unit === undefined ? '' : ` [${setting.unit}]`;
  const standard = setting.kind === 'switch' || setting.default === '' ? '' : ` (default: ${setting.default})`;
  const flag =
    setting.kind === 'switch' ? flagOf(name) : `${flagOf(name)} <${setting.kind === 'integer' ? 'n' : 'value'}>`;
  // Commander gets no default: without the flag the environment variable applies.
  return new Option(flag, `${setting.description}${unit}${standard} ${variableOf(name)}`);
}

function share(given: string): number {
  const value = Number(given);
  if (!(value >= 0 && value < 1)) throw new InvalidArgumentError('takes a share from 0 to below 1');
  return value;
}

function wholeNumber(min: number, max: number): (given: string) => number {
  return (given) => {
    const value = Number(given);
    if (!Number.isInteger(value) || value < min || value > max)
      throw new InvalidArgumentError(`takes a whole number from ${min} to ${max}`);
    return value;
  };
}
