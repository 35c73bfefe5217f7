import { join } from 'node:path';
import type { DeviceRequest } from '../encoder/choose-device.js';
import { readSavedEncoder } from '../encoder/saved-encoder.js';
import { openDataSource } from './data-sources.js';
import { figuresMarkdown, type MeasureFlags, measureSavedEncoder, openDecoding, REPORT_PAGE, writeReports } from './measured-encoder.js';
import { openTrainingDisplay } from './training-display.js';

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
} & MeasureFlags;

/** Measures a saved encoder and writes report.html and report.json into --out, or beside the encoder. Prints the figures. Returns the exit code. */
export async function runEvaluate(flags: EvaluateFlags): Promise<number> {
  const { model, data, cache, heldOut, device, threads, seed, limit, queryLimit, probes, copies, map, out = model } = flags;
  const { manifest } = await readSavedEncoder(model);
  const display = openTrainingDisplay();
  const decoding = openDecoding(manifest.preprocessing);
  try {
    const source = await openDataSource({ data, cache, heldOut, decode: decoding.decode, onNote: display.note });
    const { decode } = decoding;
    const report = await measureSavedEncoder({
      model,
      source,
      decode,
      device,
      threads,
      seed,
      limit,
      queryLimit,
      probes,
      copies,
      map,
      onProgress: display.stage,
    });
    display.close();
    await writeReports(out, report);
    console.log(`${figuresMarkdown(report)}\n${join(out, REPORT_PAGE)} shows it all.`);
    return report.data.unreadableImages > 0 ? 2 : 0;
  } finally {
    display.close();
    await decoding.close();
  }
}
