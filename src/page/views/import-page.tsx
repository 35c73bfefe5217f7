import { useCallback, useId, useState } from 'preact/hooks';
import { type ImportSource, LikenessError } from '../../client/client.js';
import { ImportJobCard } from '../parts/import-job-card.js';
import { ImportSources } from '../parts/import-sources.js';
import { Failure } from '../parts/notice.js';
import { UploadCard } from '../parts/upload-card.js';
import { isArchive } from '../state/picked-files.js';
import { useService } from '../state/service.js';
import type { PickedFile } from '../state/upload-run.js';
import { useAnswer } from '../state/use-answer.js';

/** A run of uploads from this page. */
type Upload = { readonly key: number; readonly files: readonly PickedFile[]; readonly replace: boolean; readonly collection: string };

/** Puts pictures in: files, folders, archives, addresses, the demo. Uploads run in this page; archives, addresses and the demo in the service. */
export function ImportPage() {
  const { client, address, navigate, toast, announce } = useService();
  const { collection } = address;
  const [uploads, setUploads] = useState<readonly Upload[]>([]);
  const [replace, setReplace] = useState(false);
  const [error, setError] = useState<unknown>();
  const collectionField = useId();
  const jobs = useAnswer(useCallback((signal: AbortSignal) => client.imports({ signal }), [client]));
  const collections = useAnswer(useCallback((signal: AbortSignal) => client.collections({ signal }), [client]));
  const { again } = jobs;

  const start = useCallback(
    (source: ImportSource) => {
      setError(undefined);
      client.startImport(source, { collection }).then(() => {
        announce('The import has begun.');
        again();
      }, setError);
    },
    [client, collection, announce, again],
  );
  const take = useCallback(
    (picked: readonly PickedFile[]) => {
      setError(undefined);
      const files = picked.filter(({ file }) => !isArchive(file));
      for (const { file } of picked) if (isArchive(file)) start({ archive: file, name: file.name });
      if (files.length > 0) setUploads((before) => [{ key: Date.now(), files, replace, collection }, ...before]);
      if (picked.length === 0) toast('There is no file in that.');
    },
    [start, replace, collection, toast],
  );

  return (
    <div class="narrow stack roomy">
      <header class="stack">
        <h1>Import pictures</h1>
        <p class="soft">
          JPEG, PNG, WebP, GIF, AVIF and TIFF. What is counted as added is on disk and found by the next search; a file that is there
          already is not stored twice.
        </p>
      </header>
      <div class="row spread">
        <div class="field">
          <label for={collectionField}>Into the collection</label>
          <input
            id={collectionField}
            class="input"
            list={`${collectionField}-known`}
            value={collection}
            onChange={(event) => navigate({ ...address, collection: event.currentTarget.value.trim() || 'default' }, { replace: true })}
          />
          <datalist id={`${collectionField}-known`}>
            {collections.answer?.collections.map(({ name }) => (
              <option key={name} value={name} />
            ))}
          </datalist>
        </div>
        <label class="switch">
          <span>Replace pictures of the same name</span>
          <input type="checkbox" checked={replace} onChange={(event) => setReplace(event.currentTarget.checked)} />
        </label>
      </div>
      <ImportSources onFiles={take} onSource={start} collection={collection} />
      {error !== undefined && <Failure error={error} slim />}
      {uploads.map(({ key, ...upload }) => (
        <UploadCard key={key} {...upload} onDismiss={() => setUploads((before) => before.filter((other) => other.key !== key))} />
      ))}
      <section class="stack" aria-labelledby="jobs">
        <h2 id="jobs">Jobs of the service</h2>
        {jobs.error !== undefined && <JobsFailure error={jobs.error} retry={again} />}
        {jobs.answer?.imports.length === 0 && (
          <p class="soft">None yet. Archives, addresses and the demo pictures run as jobs: they go on when this page is closed.</p>
        )}
        {jobs.answer?.imports.map((job) => (
          <ImportJobCard key={job.id} job={job} onEnd={collections.again} />
        ))}
      </section>
    </div>
  );
}

/** A service of an earlier version has no jobs: uploads work all the same. */
function JobsFailure({ error, retry }: { readonly error: unknown; readonly retry: () => void }) {
  const isAbsent = error instanceof LikenessError && error.httpStatus === 404;
  if (isAbsent) return <p class="soft">This service has no import jobs; single files and folders can be uploaded all the same.</p>;
  return <Failure error={error} retry={retry} slim />;
}
