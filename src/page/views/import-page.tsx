import { useCallback, useEffect, useId, useState } from 'preact/hooks';
import { type ImportSource, LikenessError } from '../../client/client.js';
import { ImportJobCard } from '../parts/import/import-job-card.js';
import { ImportSources } from '../parts/import/import-sources.js';
import { UploadCard } from '../parts/import/upload-card.js';
import { Failure } from '../parts/notice.js';
import { isArchive, mayBePicture } from '../state/query/picked-files.js';
import { useService } from '../state/service.js';
import type { PickedFile } from '../state/upload-run.js';
import { useResponse } from '../state/use-response.js';

/** Valid names of collections, as the service checks them. */
const INVALID_NAME = 'Enter a valid collection name first.';
const COLLECTION_PATTERN = '[A-Za-z0-9][A-Za-z0-9._\\-]{0,63}';

/** An upload run from this page. */
type Upload = {
  readonly key: number;
  readonly files: readonly PickedFile[];
  readonly replace: boolean;
  readonly collection: string;
};

/**
 * Imports files, folders, archives, image URLs and the demo. Files are uploaded by this page; the rest runs as jobs in
 * the service.
 */
export function ImportPage() {
  const { client, address, navigate, toast, announce } = useService();
  const { collection } = address;
  const [uploads, setUploads] = useState<readonly Upload[]>([]);
  const [collectionText, setCollectionText] = useState(collection);
  const [replace, setReplace] = useState(false);
  const [error, setError] = useState<unknown>();
  const collectionField = useId();
  const isNamed = new RegExp(`^${COLLECTION_PATTERN}$`).test(collectionText || 'default');
  useEffect(() => setCollectionText((text) => ((text || 'default') === collection ? text : collection)), [collection]);
  const jobs = useResponse(useCallback((signal: AbortSignal) => client.imports({ signal }), [client]));
  const collections = useResponse(useCallback((signal: AbortSignal) => client.collections({ signal }), [client]));
  const { reload } = jobs;

  const start = useCallback(
    (source: ImportSource) => {
      if (!isNamed) return toast(INVALID_NAME);
      setError(undefined);
      client.startImport(source, { collection }).then(() => {
        announce('Import started.');
        reload();
      }, setError);
    },
    [client, collection, isNamed, announce, toast, reload],
  );
  const take = useCallback(
    (picked: readonly PickedFile[]) => {
      if (!isNamed) return toast(INVALID_NAME);
      setError(undefined);
      const others = picked.filter(({ file }) => !isArchive(file) && !mayBePicture(file));
      // A single wrong file is reported by the service; among others, e.g. in a folder, it is skipped.
      const files = picked.filter(
        (one) => !isArchive(one.file) && (others.length === picked.length || !others.includes(one)),
      );
      if (others.length > 0 && files.length > 0 && others.length < picked.length)
        toast(
          others.length === 1
            ? 'One file is not a picture and was skipped.'
            : `${others.length} files are not pictures and were skipped.`,
        );
      for (const { file } of picked) if (isArchive(file)) start({ archive: file, name: file.name });
      if (files.length > 0) setUploads((before) => [{ key: Date.now(), files, replace, collection }, ...before]);
      if (picked.length === 0) toast('No files found.');
    },
    [start, replace, collection, isNamed, toast],
  );

  return (
    <div class="narrow stack roomy">
      <header class="stack">
        <h1>Import pictures</h1>
        <p class="soft">
          JPEG, PNG, WebP, GIF, AVIF and TIFF. Added pictures are on disk and found by the next search; a file that is
          already stored is skipped.
        </p>
      </header>
      <div class="row spread">
        <div class="field">
          <label for={collectionField}>Collection</label>
          <input
            id={collectionField}
            class="input"
            list={`${collectionField}-known`}
            value={collectionText}
            pattern={COLLECTION_PATTERN}
            title="Letters, digits, dots, dashes and underscores; at most 64"
            onInput={(event) => {
              const { value, validity } = event.currentTarget;
              setCollectionText(value);
              // At once: a file may be dropped while the field has the focus.
              if (validity.valid) navigate((now) => ({ ...now, collection: value || 'default' }), { replace: true });
            }}
          />
          <datalist id={`${collectionField}-known`}>
            {collections.response?.collections.map(({ name }) => (
              <option key={name} value={name} />
            ))}
          </datalist>
        </div>
        <label class="switch">
          <span>Replace pictures with the same name</span>
          <input type="checkbox" checked={replace} onChange={(event) => setReplace(event.currentTarget.checked)} />
        </label>
      </div>
      <ImportSources onFiles={take} onSource={start} collection={collection} />
      {error !== undefined && <Failure error={error} slim />}
      {uploads.map(({ key, ...upload }) => (
        <UploadCard
          key={key}
          {...upload}
          onDismiss={() => setUploads((before) => before.filter((other) => other.key !== key))}
        />
      ))}
      <section class="stack" aria-labelledby="jobs">
        <h2 id="jobs">Import jobs</h2>
        {jobs.error !== undefined && <JobsFailure error={jobs.error} retry={reload} />}
        {jobs.response?.imports.length === 0 && (
          <p class="soft">
            None yet. Archives, image URLs and the demo run as jobs, which continue when this page is closed.
          </p>
        )}
        {jobs.response?.imports.map((job) => (
          <ImportJobCard key={job.id} job={job} onEnd={collections.reload} />
        ))}
      </section>
    </div>
  );
}

/** Older services have no import jobs; uploads still work. */
function JobsFailure({ error, retry }: { readonly error: unknown; readonly retry: () => void }) {
  const isAbsent = error instanceof LikenessError && error.httpStatus === 404;
  if (isAbsent) return <p class="soft">This service has no import jobs. Files and folders can still be uploaded.</p>;
  return <Failure error={error} retry={retry} slim />;
}
