/**
 * Connects the import jobs to the service: their pictures are stored by the same code as those of requests, at the
 * lowest priority.
 */
import { dirname, posix } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Catalogue, Metadata } from '../../catalogue/catalogue.js';
import type { ImportLedger } from '../../catalogue/imports/import-records.js';
import { SearchError } from '../../errors.js';
import { fileNameOf } from '../../fetching/checked-url.js';
import { ArchiveSpool } from '../../importing/archive-spool.js';
import { ImportJobs } from '../../importing/import-jobs.js';
import type { ImportedPicture } from '../../importing/import-run.js';
import { createPermits } from '../../importing/permits.js';
import type { Settings } from '../../settings.js';
import { publicError, toSearchError } from '../error-answers.js';
import type { FairQueue } from '../limits/fair-queue.js';
import { backgroundScope } from '../limits/request-tracker.js';
import type { Monitoring } from '../monitoring.js';
import { cleanFileName } from '../names.js';
import type { PictureUrls } from '../picture-urls.js';
import type { OpenCollection } from '../tenancy.js';
import { createPictureStore } from './picture-store.js';
import type { EncodeImage } from './pipeline.js';

/** Where jobs are kept: their records, and the folder of their archives. */
export type ImportStorage = { readonly ledger: ImportLedger; readonly folder: string };

/** In the fair queue all imports together are one caller. */
const CALLER = 'imports';
/** While requests have images in progress, an import waits up to this long before its next one. */
const YIELD_MS = 200;
const YIELD_STEP_MS = 20;
/** Slowest upload of an archive: a client that sends almost nothing does not hold a place of a job. */
const ARRIVAL = { bytesPerSecondMin: 4096, windowMs: 30_000 };
/** Disk space that archives leave to the catalogue. */
const SPOOL_RESERVE_BYTES = 64 * 1024 * 1024;
/** Pictures are compressed already: an archive that unpacks to a larger multiple of its size is a bomb. */
const RATIO_MAX = 200;
const DEMO_FOLDER = new URL('../../../../examples/demo/', import.meta.url);

/** Creates the jobs; none runs before `resume`. `onFailure` is called with errors that no caller waits for. */
export function createImports(parts: {
  readonly settings: Settings;
  readonly storage: ImportStorage;
  readonly catalogue: Catalogue;
  readonly encodeImage: EncodeImage;
  readonly queue: Pick<FairQueue, 'held'>;
  readonly pictureUrls: PictureUrls;
  readonly monitoring: Monitoring;
  /** Charges images to the quota of a caller; returns 0, or the seconds until it allows them. */
  readonly charge: (caller: string, images: number) => number;
  readonly onFailure: (error: unknown) => void;
}): ImportJobs {
  const { settings, storage, queue, pictureUrls, monitoring, onFailure } = parts;
  const pictures = createPictureStore(parts);
  let own = 0;

  const addPicture = async ({ job, item, bytes, signal }: ImportedPicture): Promise<'added' | 'exists'> => {
    const scope = backgroundScope({ caller: CALLER, signal, timeoutMs: settings.requestTimeoutMs });
    const collection = job.collection as OpenCollection; // tenancy opened it for the creator of the job
    own += 1;
    try {
      const prepared = await pictures.prepare(scope, collection, bytes);
      const importItem = { id: job.id, number: item.number };
      const target = { collection, id: undefined, replace: false, importItem, ...described(job.kind, item.name) };
      const { status } = await pictures.store(scope, prepared, target);
      return status === 'exists' ? 'exists' : 'added';
    } catch (error) {
      if (toSearchError(error).code === 'INTERNAL') onFailure(error);
      throw error;
    } finally {
      own -= 1;
      scope.end();
    }
  };

  return new ImportJobs({
    ledger: storage.ledger,
    spool: new ArchiveSpool({
      folder: storage.folder,
      bytesMax: settings.importMaxArchiveBytes,
      reserveBytes: SPOOL_RESERVE_BYTES,
      ...ARRIVAL,
    }),
    permits: createPermits(settings.importConcurrency),
    jobsMax: settings.importJobs,
    limits: {
      entriesMax: settings.importMaxEntries,
      expandedBytesMax: settings.importMaxExpandedBytes,
      ratioMax: RATIO_MAX,
      fileBytesMax: settings.maxUploadBytes,
      fileBytesFlag: '--max-upload-bytes',
    },
    demoFolder: dirname(fileURLToPath(new URL('any', DEMO_FOLDER))),
    addPicture,
    fetchUrl: (url, signal) => {
      const scope = backgroundScope({ caller: CALLER, signal, timeoutMs: settings.requestTimeoutMs });
      return pictureUrls.fetch(scope, url).finally(() => scope.end());
    },
    yieldToRequests: async (signal) => {
      for (let waited = 0; waited < YIELD_MS && queue.held > own; waited += YIELD_STEP_MS) {
        await sleep(YIELD_STEP_MS, undefined, { signal });
      }
    },
    charge: (caller) => parts.charge(caller, 1),
    toError: (error) => publicError(toSearchError(error)),
    onSettled: (outcome) => {
      monitoring.countImage(outcome === 'existing' ? 'exists' : outcome);
      monitoring.countImportItem(outcome);
    },
    onFailure,
    now: Date.now,
  });
}

/** File name and metadata of an imported picture: its folder, or its URL without the query, which may hold a secret. */
function described(
  kind: ImportedPicture['job']['kind'],
  name: string,
): { readonly fileName: string | null; readonly metadata: Metadata } {
  if (kind === 'urls') {
    if (!URL.canParse(name)) throw new SearchError('INVALID_REQUEST', 'This is not a URL.');
    const url = new URL(name);
    return { fileName: cleanFileName(fileNameOf(url)), metadata: { source: `${url.origin}${url.pathname}` } };
  }
  const folder = posix.dirname(name);
  return { fileName: cleanFileName(posix.basename(name)), metadata: folder === '.' ? {} : { folder } };
}
