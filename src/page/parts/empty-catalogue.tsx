import { useState } from 'preact/hooks';
import { type ImportJob, LikenessError } from '../../client/client.js';
import { START } from '../state/page-address.js';
import { useService } from '../state/service.js';
import { Failure } from './notice.js';

/** What a first visitor sees: the demo pictures in one click, the import page, and the command that imports a folder. */
export function EmptyCatalogue({ onFilled }: { readonly onFilled: () => void }) {
  const { client, address, navigate, announce } = useService();
  const [job, setJob] = useState<ImportJob>();
  const [failure, setFailure] = useState<unknown>();
  const place = address.collection === 'default' ? {} : { collection: address.collection };
  const load = async (): Promise<void> => {
    setFailure(undefined);
    try {
      const started = await client.startImport({ demo: true }, place);
      setJob(started);
      for await (const now of client.importEvents(started.id)) {
        setJob(now);
        if (now.status !== 'running') break;
      }
      announce('The demo pictures are there.');
      onFilled();
    } catch (error) {
      setJob(undefined);
      setFailure(error);
    }
  };
  const isMissing = failure instanceof LikenessError && failure.code === 'NOT_FOUND';
  const { found = 0, waiting = 0 } = job?.counts ?? {};
  const done = found === 0 ? 0 : Math.round(((found - waiting) / found) * 100);
  return (
    <section class="panel stack narrow" aria-labelledby="empty">
      <h2 id="empty">{address.collection === 'default' ? 'There are no pictures yet' : `“${address.collection}” holds no pictures yet`}</h2>
      <p class="soft">Look around with the demo pictures, 200 photographs of clothing in the public domain, or bring your own.</p>
      {job === undefined ? (
        <div class="row">
          <button type="button" class="button primary" onClick={() => void load()}>
            Load the demo pictures
          </button>
          <button type="button" class="button" onClick={() => navigate({ ...START, page: 'import', collection: address.collection })}>
            Import pictures
          </button>
        </div>
      ) : (
        <div class="stack">
          <div
            class="progress"
            role="progressbar"
            aria-label="Loading the demo pictures"
            aria-valuenow={done}
            aria-valuemin={0}
            aria-valuemax={100}
          >
            <span style={{ width: `${done}%` }} />
          </div>
          <p class="small soft number">
            {found - waiting} of {found}
          </p>
        </div>
      )}
      {isMissing && <p role="alert">This service has no demo pictures. Import your own.</p>}
      {failure !== undefined && !isMissing && <Failure error={failure} slim />}
      <div class="field">
        <span class="label">A whole folder, in a terminal</span>
        <code class="command">
          npx likeness import ~/Pictures{address.collection === 'default' ? '' : ` --collection ${address.collection}`}
        </code>
      </div>
    </section>
  );
}
