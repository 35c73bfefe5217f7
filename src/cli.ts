#!/usr/bin/env node
/** The command line: parse flags, call one function, set the exit code. */
import { Command, InvalidArgumentError, Option } from 'commander';
import type { CheckFlags } from './commands/check.js';
import type { ExportFlags } from './commands/export.js';
import type { WhiteningFlags } from './commands/fit-whitening.js';
import type { ImportFlags } from './commands/import.js';
import type { SearchFlags } from './commands/search.js';
import { flagOf, SETTINGS, type Setting, type SettingName, variableOf } from './config.js';
import { requireNativeModules } from './native-modules.js';

const MEBIBYTE = 1024 * 1024;

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
  .command('fit-whitening')
  .description('Fit the whitening encoder (an honest baseline) to unlabelled pictures; minutes on a CPU.')
  .requiredOption('--data <folder>', 'folder of pictures, or of CIFAR-10 binary batches')
  .requiredOption('--out <folder>', 'folder of the saved encoder to write')
  .option('--dimensions <n>', 'length of the embedding', wholeNumber(2, 3072), 256)
  .option('--regularisation <x>', 'added to every eigenvalue, in units of their mean; larger trusts fine detail less', Number)
  .option('--licence <text>', 'licence of the pictures, for the model card', 'not stated')
  .action(run(async (flags: WhiteningFlags) => (await import('./commands/fit-whitening.js')).runFitWhitening(flags)));

program
  .command('key')
  .description('Make an API key and the line for --api-keys-file.')
  .addOption(new Option('--role <role>', 'what the key may do').choices(['read', 'write', 'admin']).default('read'))
  .action(run(async ({ role }: { role: string }) => (await import('./commands/key.js')).runKey(role)));

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

function settingOption(name: SettingName, setting: Setting): Option {
  const unit = setting.unit === undefined ? '' : ` [${setting.unit}]`;
  const standard = setting.kind === 'switch' || setting.default === '' ? '' : ` (default: ${setting.default})`;
  const flag = setting.kind === 'switch' ? flagOf(name) : `${flagOf(name)} <${setting.kind === 'integer' ? 'n' : 'value'}>`;
  // No default is handed to commander: an absent flag must leave the variable its say.
  return new Option(flag, `${setting.description}${unit}${standard} ${variableOf(name)}`);
}

function wholeNumber(min: number, max: number): (given: string) => number {
  return (given) => {
    const value = Number(given);
    if (!Number.isInteger(value) || value < min || value > max)
      throw new InvalidArgumentError(`takes a whole number from ${min} to ${max}`);
    return value;
  };
}
