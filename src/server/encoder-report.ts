import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { etagOf } from './http-headers.js';

/** Name of the page that `likeness evaluate` writes beside an encoder. */
const REPORT_FILE = 'report.html';
/** Pages that were shipped are of 1 MB; what is so large was not written by us. */
const BYTES_MAX = 32 * 1024 * 1024;

/** The running encoder's evaluation as a page. */
export type EncoderReport = { readonly html: Buffer; readonly etag: string };

/**
 * The report in a saved encoder's folder. Undefined where there is none, or one that does not name this encoder:
 * folders outlive what was trained into them. Read once, so that it is of the encoder that runs. A report that cannot
 * be read is as good as none, since no search needs it; `onWarning` is told why.
 */
export async function readEncoderReport(
  folder: string,
  encoderId: string,
  onWarning: (message: string) => void,
): Promise<EncoderReport | undefined> {
  const path = join(folder, REPORT_FILE);
  try {
    const html = await readBounded(path);
    if (html.includes(encoderId)) return { html, etag: etagOf(html) };
    onWarning(`${path} is of another encoder and is not served. Make it again: likeness evaluate.`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') onWarning(`${path} is not served: ${String(error)}`);
  }
  return undefined;
}

async function readBounded(path: string): Promise<Buffer> {
  const handle = await open(path);
  try {
    const { size } = await handle.stat();
    if (size > BYTES_MAX) throw new Error(`it has ${size} bytes; the limit is ${BYTES_MAX}.`);
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}
