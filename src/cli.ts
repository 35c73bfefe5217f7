#!/usr/bin/env node
/** The command line: parse flags, call one function, set the exit code. */
import { Command, InvalidArgumentError, Option } from 'commander';
import type { AblateFlags } from './commands/ablate.js';
import { DEFAULT_CACHE } from './commands/cache-folder.js';
import type { CheckFlags } from './commands/check.js';
import type { CompareFlags } from './commands/compare.js';
import type { EvaluateFlags } from './commands/evaluate.js';
import type { ExportFlags } from './commands/export.js';
import type { WhiteningFlags } from './commands/fit-whitening.js';
import type { ImportFlags } from './commands/import.js';
import type { KeyFlags } from './commands/key.js';
import type { SearchFlags } from './commands/search.js';
import type { RestoreFlags, SnapshotFlags } from './commands/snapshot.js';
import type { TrainFlags } from './commands/train.js';
import { requireNativeModules } from './native-modules.js';
import { flagOf, SETTINGS, type Setting, type SettingName, variableOf } from './settings.js';

const MEBIBYTE = 1024 * 1024;
const PICTURES = 'folder of pictures, folder of CIFAR-10 binary batches, or cifar10 (downloaded once)';

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

Exit codes: 0 done, 1 could not be done, 2 done but some files failed.`,
  );

const serve = program
  .command('serve')
  .description('Start the service. Every flag is also a variable; the flag wins.')
  .addHelpText('after', '\nStops on SIGTERM or Ctrl-C after the requests in flight; a second signal stops at once.')
  .action(run(async (flags: object) => (await import('./commands/serve.js')).runServe({ ...flags })));
for (const [name, setting] of Object.entries(SETTINGS) as [SettingName, Setting][]) serve.addOption(settingOption(name, setting));

withService(program.command('import').argument('<path>', 'folder, picture, .zip, .tar or .tar.gz'))
  .description('Add every picture of a folder or archive. Run it again to resume: what is stored is passed over.')
  .option('--concurrency <n>', 'files on their way at once', wholeNumber(1, 256), 8)
  .option('--replace', 'replace stored images of the same id with other content', false)
  .addOption(
    new Option('--ids <kind>', 'id of an image: its relative path, or a hash of its content').choices(['path', 'hash']).default('path'),
  )
  .option('--metadata <file>', 'JSON lines: {"file": "relative/name.jpg", ...metadata}')
  .option('--failures <file>', 'where failures are listed, as JSON lines', 'import-failures.jsonl')
  .option('--max-file-bytes <n>', 'larger files are failures, unread', wholeNumber(1, 2 ** 31), 10 * MEBIBYTE)
  .action(run(async (path: string, flags: ImportFlags) => (await import('./commands/import.js')).runImport(path, flags)));

withService(program.command('search').argument('<file>', 'picture to search for'))
  .description('Print the nearest images to a picture, best first.')
  .option('-k, --k <n>', 'how many', wholeNumber(1, 1000), 10)
  .option('--min-score <score>', 'least cosine similarity', Number)
  .option('--filter <json>', 'filter on metadata; see docs/api.md')
  .option('--json', 'print the whole answer', false)
  .action(run(async (file: string, flags: SearchFlags) => (await import('./commands/search.js')).runSearch(file, flags)));

program
  .command('export')
  .description('Write every record of a collection as JSON lines: id, metadata, hashes, and the embedding where asked.')
  .requiredOption('--data <folder>', 'folder of the catalogue; no service may run on it')
  .option('--model <folder>', 'saved encoder that the catalogue was made with', SETTINGS.model.default)
  .option('--collection <name>', 'collection', 'default')
  .option('--embeddings', 'add the embedding, an array of numbers', false)
  .option('--out <file>', 'file to write; standard output if not given')
  .action(run(async (flags: ExportFlags) => (await import('./commands/export.js')).runExport(flags)));

program
  .command('check')
  .description('Verify the database and its indexes. Changes nothing.')
  .option('--data <folder>', 'folder of the catalogue; no service may run on it', SETTINGS.data.default)
  .option('--deep', 'compare every vector of the indexes with its record as well', false)
  .option('--hnsw-m <n>', 'the setting that the indexes were written with', wholeNumber(4, 64), SETTINGS.hnswM.default)
  .action(run(async (flags: CheckFlags) => (await import('./commands/check.js')).runCheck(flags)));

program
  .command('snapshot')
  .description('Write a verified copy of all collections to one file, while the service runs (or of a folder that none runs on).')
  .option('--url <url>', 'running service (LIKENESS_URL; http://127.0.0.1:8080 if not given)')
  .option('--api-key <key>', 'its key, of role admin (better: LIKENESS_API_KEY)')
  .option('--data <folder>', 'folder of the catalogue; no service may run on it')
  .requiredOption('--out <file>', 'file to write, a tar; replaced when the new one is whole')
  .option('--keep', 'leave the snapshot in the service as well', false)
  .action(run(async (flags: SnapshotFlags) => (await import('./commands/snapshot.js')).runSnapshot(flags)));

program
  .command('restore')
  .argument('<file>', 'snapshot')
  .description('Make a data folder of a snapshot, after verifying every byte of it.')
  .requiredOption('--data <folder>', 'folder to make; it must be empty or not exist')
  .option('--max-bytes <n>', 'what the snapshot may unpack to', wholeNumber(1, Number.MAX_SAFE_INTEGER), 1024 * 1024 * MEBIBYTE)
  .action(run(async (file: string, flags: RestoreFlags) => (await import('./commands/snapshot.js')).runRestore(file, flags)));

program
  .command('fit-whitening')
  .description('Fit the whitening encoder (an honest baseline) to unlabelled pictures; minutes on a CPU.')
  .requiredOption('--data <folder>', PICTURES)
  .requiredOption('--out <folder>', 'folder of the saved encoder to write')
  .option('--cache <folder>', 'where decoded pictures and downloads are kept', DEFAULT_CACHE)
  .option('--dimensions <n>', 'length of the embedding', wholeNumber(2, 3072), 256)
  .option('--regularisation <x>', 'added to every eigenvalue, in units of their mean; larger trusts fine detail less', Number)
  .option('--licence <text>', 'licence of the pictures, for the model card', 'not stated')
  .action(run(async (flags: WhiteningFlags) => (await import('./commands/fit-whitening.js')).runFitWhitening(flags)));

withTraining(program.command('train'))
  .description('Learn an encoder from unlabelled pictures, save it and report on it. Run it again to go on after a stop.')
  .addOption(
    new Option('--resume <how>', 'automatic: go on from the newest checkpoint; never: start afresh')
      .choices(['automatic', 'never'])
      .default('automatic'),
  )
  .option('--no-evaluation', 'save the encoder without measuring it')
  .action(run(async (flags: TrainFlags) => (await import('./commands/train.js')).runTrain(flags)));

withMeasures(program.command('evaluate'))
  .description('Measure a saved encoder; write report.html and report.json.')
  .requiredOption('--model <folder>', 'saved encoder')
  .option('--data <folder>', PICTURES, 'cifar10')
  .option('--out <folder>', 'where the reports go; beside the encoder if not given')
  .option('--device <device>', 'where the encoder runs', 'auto')
  .option('--threads <n>', 'threads on a CPU', wholeNumber(1, 256))
  .option('--seed <n>', 'of samples, sheets and attacks', wholeNumber(0, 2 ** 32 - 1), 2018)
  .action(run(async (flags: EvaluateFlags) => (await import('./commands/evaluate.js')).runEvaluate(flags)));

program
  .command('compare')
  .argument('<reports...>', 'report.json files, or folders that hold one')
  .description('Print encoders side by side, from their reports.')
  .option('--out <file>', 'also write a page with their sheets')
  .action(run(async (reports: string[], flags: CompareFlags) => (await import('./commands/compare.js')).runCompare(reports, flags)));

withTraining(program.command('ablate'))
  .description('Take a recipe apart: every switch of the method trained and measured with one budget. Run it again to go on.')
  .option('--rows <names>', 'only these rows, separated by commas; name@2019 is that row with another seed')
  .option('--beside <reports...>', 'reports of other encoders to stand in the table')
  .action(run(async (flags: AblateFlags) => (await import('./commands/ablate.js')).runAblate(flags)));

program
  .command('key')
  .description('Make an API key and the line for --api-keys-file.')
  .addOption(new Option('--role <role>', 'what the key may do').choices(['read', 'write', 'admin']).default('read'))
  .option('--collection <names...>', 'the only collections it is for; without this, all')
  .action(run(async (flags: KeyFlags) => (await import('./commands/key.js')).runKey(flags)));

program
  .command('docs', { hidden: true })
  .description('Write the documents that are generated from the code (for developers).')
  .action(run(async () => (await import('./commands/docs.js')).runDocs()));

await program.parseAsync();

/** Wraps a command: native parts first, one readable line for an error, the exit code. */
function run<Arguments extends unknown[]>(
  command: (...given: Arguments) => Promise<number | undefined>,
): (...given: Arguments) => Promise<void> {
  return async (...given) => {
    try {
      requireNativeModules();
      const exitCode = await command(...given);
      if (exitCode !== undefined) process.exitCode = exitCode;
    } catch (error) {
      console.error(`likeness: ${error instanceof Error ? error.message : String(error)}`);
      process.exitCode = 1;
    }
  };
}

function withService(command: Command): Command {
  return command
    .option('--url <url>', 'running service (LIKENESS_URL; http://127.0.0.1:8080 if not given)')
    .option('--api-key <key>', 'its key (better: LIKENESS_API_KEY)')
    .option('--collection <name>', 'collection', 'default')
    .option('--data <folder>', 'work on this catalogue folder without a running service')
    .option('--model <folder>', 'with --data: folder of the saved encoder')
    .option('--device <device>', 'with --data: where the encoder runs');
}

function withTraining(command: Command): Command {
  return withMeasures(command)
    .requiredOption('--data <folder>', PICTURES)
    .requiredOption('--out <folder>', 'folder to write; checkpoints go beside it')
    .option(
      '--recipe <name>',
      'seed, seed-tiny-imagenet, views, closed-form, photos, or a JSON file ({"base": "seed", ...changes})',
      'seed',
    )
    .option('--train-limit <n>', 'learn from at most so many pictures, evenly spread, and search in them', wholeNumber(2, 2 ** 31))
    .option('--epochs <n>', "passes over the pictures, instead of the recipe's", wholeNumber(0, 100_000))
    .option('--seed <n>', "of everything random, instead of the recipe's", wholeNumber(0, 2 ** 32 - 1))
    .addOption(new Option('--engine <engine>', 'what executes a step').choices(['onnx', 'tensorflow']).default('onnx'))
    .addOption(new Option('--device <device>', 'with --engine onnx: where it runs').choices(['cpu', 'cuda', 'webgpu']).default('cpu'))
    .option('--threads <n>', 'threads on a CPU; all cores if not given', wholeNumber(1, 256))
    .option('--checkpoint-minutes <n>', 'a checkpoint so often, besides after every epoch', Number, 5)
    .option('--checkpoint-steps <n>', 'and after so many steps', wholeNumber(1, 2 ** 31))
    .option('--epoch-sample <n>', 'pictures measured after every epoch; 0 for none', wholeNumber(0, 2 ** 31), 6000)
    .option('--licence <text>', 'licence of the pictures, for the model card', 'not stated');
}

function withMeasures(command: Command): Command {
  return command
    .option('--held-out <share>', "share of a folder's pictures kept from training, to be searched with", share, 0)
    .option('--cache <folder>', 'where decoded pictures and downloads are kept', DEFAULT_CACHE)
    .option('--limit <n>', 'most pictures of each part that the report is measured on', wholeNumber(2, 2 ** 31), 2 ** 31)
    .option('--query-limit <n>', 'most held-out pictures to search with', wholeNumber(2, 2 ** 31))
    .option('--copies <n>', 'pictures whose edited copies are searched for; 0 for none', wholeNumber(0, 1e6), 100)
    .option('--no-map', 'leave out the map of the embeddings')
    .option('--no-probes', 'leave out the probes, which take longest');
}

function settingOption(name: SettingName, setting: Setting): Option {
  const unit = setting.unit === undefined ? '' : ` [${setting.unit}]`;
  const standard = setting.kind === 'switch' || setting.default === '' ? '' : ` (default: ${setting.default})`;
  const flag = setting.kind === 'switch' ? flagOf(name) : `${flagOf(name)} <${setting.kind === 'integer' ? 'n' : 'value'}>`;
  // No default is handed to commander: an absent flag must leave the variable its say.
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
