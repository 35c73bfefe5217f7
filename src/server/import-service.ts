/** Import jobs, joined to the service: their pictures take the same way in as everybody's, at the lowest priority. */
import { dirname, posix } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Catalogue, Metadata } from '../catalogue/catalogue.js';
import type { ImportLedger } from '../catalogue/import-records.js';
import { SearchError } from '../errors.js';
import { fileNameOf } from '../fetching/checked-url.js';
import { ArchiveSpool } from '../importing/archive-spool.js';
import { ImportJobs } from '../importing/import-jobs.js';
import type { ImportedPicture } from '../importing/import-run.js';
import { createPlaces } from '../importing/places.js';
import type { Settings } from '../settings.js';
import { publicError, toSearchError } from './error-answers.js';
import type { FairTurns } from './fair-turns.js';
import type { Monitoring } from './monitoring.js';
import { cleanFileName } from './names.js';
import { createPictureStore } from './picture-store.js';
import type { PictureUrls } from './picture-urls.js';
import type { EncodeImage } from './pipeline.js';
import { startWorkLife } from './request-ledger.js';
import type { OpenCollection } from './tenancy.js';

/** Where jobs are kept: their records, and the folder of the archives they are made of. */
export type ImportStorage = { readonly ledger: ImportLedger; readonly folder: string };

/** In the line of callers all imports together are one. */
const CALLER = 'imports';
/** While requests have images on their way, an import begins its next one only so much later. */
const GIVE_WAY_MS = 200;
const GIVE_WAY_STEP_MS = 20;
/** Disk that archives leave to the catalogue. */
const SPOOL_RESERVE_BYTES = 64 * 1024 * 1024;
/** Pictures hardly shrink in an archive; what does by so much is a bomb. */
const RATIO_MAX = 200;
const LISTENERS_MAX = 100;
const DEMO_FOLDER = new URL('../../../src/demo/', import.meta.url);

/** Builds the jobs; nothing runs before `resume`. `onFailure` is told of what no caller waits for. */
export function createImports(parts: {
  readonly settings: Settings;
  readonly storage: ImportStorage;
  readonly catalogue: Catalogue;
  readonly encodeImage: EncodeImage;
  readonly turns: Pick<FairTurns, 'held'>;
  readonly pictureUrls: PictureUrls;
  readonly monitoring: Monitoring;
  readonly onFailure: (error: unknown) => void;
}): ImportJobs {
  const { settings, storage, turns, pictureUrls, monitoring, onFailure } = parts;
  const pictures = createPictureStore(parts);
  let own = 0;

  const addPicture = async ({ job, item, bytes, signal }: ImportedPicture): Promise<'added' | 'exists'> => {
    const life = startWorkLife({ caller: CALLER, signal, timeoutMs: settings.requestTimeoutMs });
    const collection = job.collection as OpenCollection; // opened for whoever made the job
    own += 1;
    try {
      const prepared = await pictures.prepare(life, collection, bytes);
      const importItem = { id: job.id, number: item.number };
      const target = { collection, id: undefined, replace: false, importItem, ...described(job.kind, item.name) };
      const { status } = await pictures.store(life, prepared, target);
      return status === 'exists' ? 'exists' : 'added';
    } catch (error) {
      if (toSearchError(error).code === 'INTERNAL') onFailure(error);
      throw error;
    } finally {
      own -= 1;
      life.end();
    }
  };

  return new ImportJobs({
    ledger: storage.ledger,
    spool: new ArchiveSpool({ folder: storage.folder, bytesMax: settings.importMaxArchiveBytes, reserveBytes: SPOOL_RESERVE_BYTES }),
    places: createPlaces(settings.importConcurrency),
    jobsMax: settings.importJobs,
    listenersMax: LISTENERS_MAX,
    limits: {
      entriesMax: settings.importMaxEntries,
      expandedBytesMax: settings.importMaxExpandedBytes,
      ratioMax: RATIO_MAX,
      fileBytesMax: settings.maxUploadBytes,
    },
    demoFolder: dirname(fileURLToPath(new URL('any', DEMO_FOLDER))),
    addPicture,
    fetchUrl: (url, signal) => {
      const life = startWorkLife({ caller: CALLER, signal, timeoutMs: settings.requestTimeoutMs });
      return pictureUrls.fetch(life, url).finally(() => life.end());
    },
    giveWay: async (signal) => {
      for (let waited = 0; waited < GIVE_WAY_MS && turns.held > own; waited += GIVE_WAY_STEP_MS) {
        await sleep(GIVE_WAY_STEP_MS, undefined, { signal });
      }
    },
    toError: (error) => publicError(toSearchError(error)),
    onSettled: (outcome) => {
      monitoring.countImage(outcome === 'existing' ? 'exists' : outcome);
      monitoring.countImportItem(outcome);
    },
    onFailure,
    now: Date.now,
  });
}

/** File name and metadata of an imported picture: the folder it lay in, or where it was fetched from, without the query, which may hold a secret. */
function described(kind: ImportedPicture['job']['kind'], name: string): { readonly fileName: string | null; readonly metadata: Metadata } {
  if (kind === 'urls') {
    if (!URL.canParse(name)) throw new SearchError('INVALID_REQUEST', 'The URL is none.');
    const url = new URL(name);
    return { fileName: cleanFileName(fileNameOf(url)), metadata: { source: `${url.origin}${url.pathname}` } };
  }
  const folder = posix.dirname(name);
  return { fileName: cleanFileName(posix.basename(name)), metadata: folder === '.' ? {} : { folder } };
}
