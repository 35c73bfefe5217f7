import { join } from 'node:path';
import { openDataSource } from '../datasets/data-sources.js';
import type { DeviceRequest } from '../encoder/choose-device.js';
import {
  type EvaluationScope,
  figuresMarkdown,
  measureSavedEncoder,
  REPORT_PAGE,
  scopeOf,
  writeReports,
} from '../evaluation/measured-encoder.js';
import { findInPackage } from '../package-files.js';
import { openTerminalProgress } from './terminal-progress.js';

/** Flags of `likeness evaluate`. */
export type EvaluateFlags = {
  readonly model: string;
  readonly data: string;
  readonly out?: string;
  readonly device: DeviceRequest;
  readonly threads?: number;
  readonly heldOut: number;
  readonly cache: string;
  readonly seed: number;
} & EvaluationScope;

/**
 * Measures a saved encoder and writes report.html and report.json into --out, or beside the encoder. Prints the
 * figures. Returns the exit code.
 */
export async function runEvaluate(flags: EvaluateFlags): Promise<number> {
  const model = findInPackage(flags.model);
  const { data, cache, heldOut, device, threads, seed, out = model } = flags;
  const progress = openTerminalProgress();
  try {
    const source = await openDataSource({ data, cache, heldOut, progress });
    const report = await measureSavedEncoder({
      ...scopeOf(flags),
      model,
      source,
      device,
      threads,
      seed,
      progress,
    });
    progress.close();
    await writeReports(out, report);
    console.log(`${figuresMarkdown(report)}\n${join(out, REPORT_PAGE)} shows it all.`);
    return progress.exitCode();
  } finally {
    progress.close();
  }
}
