import { useState } from 'preact/hooks';
import { type ImportJob, LikenessError } from '../../client/client.js';
import { START } from '../state/query/page-address.js';
import { useService } from '../state/service.js';
import { Button } from './button.js';
import { importCommand } from './import/import-sources.js';
import { Failure } from './notice.js';

/** The start page without pictures: load the demo, open the import page, or copy the import command. */
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
      announce('The demo pictures are loaded.');
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
      <h2 id="empty">
        {address.collection === 'default' ? 'No pictures yet' : `No pictures in “${address.collection}” yet`}
      </h2>
      <p class="soft">
        Try it with the demo, 208 photographs of clothing in the public domain, or import your own pictures.
      </p>
      {job === undefined ? (
        <div class="row">
          <Button look="primary" onClick={() => void load()}>
            Load the demo pictures
          </Button>
          <Button onClick={() => navigate({ ...START, page: 'import', collection: address.collection })}>
            Import pictures
          </Button>
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
        <span class="label">Import a folder from a terminal</span>
        <code class="command">{importCommand(client, address.collection)}</code>
      </div>
    </section>
  );
}
