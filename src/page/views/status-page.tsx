import { Fragment } from 'preact';
import { useCallback } from 'preact/hooks';
import type { Statistics } from '../../client/client.js';
import { Button } from '../parts/button.js';
import { Link } from '../parts/link.js';
import { Failure } from '../parts/notice.js';
import { messageFor } from '../state/error-messages.js';
import { formatAddress, START } from '../state/query/page-address.js';
import { saveFile } from '../state/save-file.js';
import { useService } from '../state/service.js';
import { useResponse } from '../state/use-response.js';

/** Polling interval. */
const REFRESH_MS = 5000;

/** Status of the service: encoder, collections and their indexes, score labels, links. */
export function StatusPage() {
  const { client } = useService();
  const { response, error, reload } = useResponse(
    useCallback((signal: AbortSignal) => client.statistics({ signal }), [client]),
    REFRESH_MS,
  );
  return (
    <div class="narrow stack roomy">
      <h1>Status</h1>
      {error !== undefined && <Failure error={error} retry={reload} slim={response !== undefined} />}
      {response !== undefined && <Facts statistics={response} />}
    </div>
  );
}

function Facts({ statistics }: { readonly statistics: Statistics }) {
  const { client } = useService();
  const { version, uptimeSeconds, encoder, collections, scores, imports, report } = statistics;
  return (
    <>
      <section class="panel stack" aria-labelledby="status-encoder">
        <h2 id="status-encoder">Encoder</h2>
        <FactList
          facts={[
            ['Name', encoder.name],
            ['Runs on', `${encoder.device} (${encoder.runtime})`],
            ['Dimensions', encoder.dimensions.toLocaleString()],
            ['Shows matching areas', encoder.hasFeatures ? 'yes' : 'no (the encoder has no local features)'],
            ['Id', encoder.id],
          ]}
        />
        {report !== null && <ReportLink path={report} />}
      </section>
      <section class="panel stack" aria-labelledby="status-collections">
        <h2 id="status-collections">Collections</h2>
        {collections.length === 0 ? <NoPictures /> : <CollectionTable collections={collections} />}
        {imports.running > 0 && (
          <p>
            <PageLink page="import">
              {imports.running === 1 ? 'One import is running' : `${imports.running} imports are running`}
            </PageLink>
          </p>
        )}
      </section>
      <section class="panel stack" aria-labelledby="status-scores">
        <h2 id="status-scores">Score labels</h2>
        <p class="soft">
          {scores === null
            ? 'This encoder has no score curves. “Edited copy” and “Similar” use conservative default thresholds.'
            : `“Edited copy” and “Similar” use score curves of this encoder, fitted on edited copies of ${scores.images.toLocaleString()} pictures and measured on others (${new Date(scores.fittedAt).toLocaleDateString()}).`}{' '}
          A collection with 500 pictures or more gets its own curves while the service is idle; see the table above.
        </p>
      </section>
      <section class="panel stack" aria-labelledby="status-service">
        <h2 id="status-service">Service</h2>
        <FactList
          facts={[
            ['Version', version],
            ['Uptime', duration(uptimeSeconds)],
          ]}
        />
        <p class="row">
          <a href={client.addressOf('docs/').href}>API documentation</a>
          <a href={client.addressOf('openapi.yaml').href}>OpenAPI</a>
        </p>
      </section>
    </>
  );
}

/**
 * Opens the encoder's report. A link cannot send an API key; with one, the page fetches the report and saves it as
 * a file.
 */
function ReportLink({ path }: { readonly path: string }) {
  const { client, apiKey, toast } = useService();
  const label = 'Quality report';
  const save = async (): Promise<void> => {
    try {
      saveFile('report.html', await client.file(path));
    } catch (error) {
      toast(messageFor(error).title);
    }
  };
  return (
    <p>
      {apiKey === undefined ? (
        <a href={client.addressOf(path).href} target="_blank" rel="noreferrer">
          {label}
        </a>
      ) : (
        <Button onClick={() => void save()}>{label} (saves a file)</Button>
      )}
    </p>
  );
}

function CollectionTable({ collections }: { readonly collections: Statistics['collections'] }) {
  return (
    <div class="table-frame">
      <table class="table number">
        <thead>
          <tr>
            <th scope="col">Collection</th>
            <th scope="col">Pictures</th>
            <th scope="col">Index</th>
            <th scope="col">Search recall</th>
            <th scope="col">Score labels</th>
          </tr>
        </thead>
        <tbody>
          {collections.map((collection) => (
            <tr key={collection.name}>
              <th scope="row">
                <PageLink page="search" collection={collection.name}>
                  {collection.name}
                </PageLink>
              </th>
              <td>{collection.images.toLocaleString()}</td>
              <td>{indexText(collection)}</td>
              <td>{recallText(collection)}</td>
              <td>{curvesText(collection)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function NoPictures() {
  return (
    <p class="soft">
      No pictures yet. <PageLink page="import">Import some</PageLink>.
    </p>
  );
}

function PageLink(props: {
  readonly page: 'import' | 'search';
  readonly collection?: string;
  readonly children: preact.ComponentChildren;
}) {
  const { address, navigate } = useService();
  const target = { ...START, page: props.page, collection: props.collection ?? address.collection };
  return (
    <Link href={formatAddress(target)} follow={() => navigate(target)}>
      {props.children}
    </Link>
  );
}

/** Complete or how far it is built, and deleted entries, which a background rebuild cleans up. */
function indexText({ images, indexedImages, deletedMarks }: Statistics['collections'][number]): string {
  const marks =
    deletedMarks === 0
      ? ''
      : `, ${deletedMarks.toLocaleString()} deleted ${deletedMarks === 1 ? 'entry' : 'entries'} to clean up`;
  return indexedImages >= images
    ? `complete${marks}`
    : `${indexedImages.toLocaleString()} of ${images.toLocaleString()}${marks}`;
}

function recallText({ recall, breadth }: Statistics['collections'][number]): string {
  if (breadth === null) return '100 % (exact search)';
  return recall === undefined || recall === null
    ? 'not measured yet'
    : `${(recall * 100).toFixed(1)} % (ef ${breadth})`;
}

/** Source of the score curves, and the measured precision of edited copies. */
function curvesText({ scores }: Statistics['collections'][number]): string {
  if (scores === null) return 'default thresholds';
  const precision = `${(scores.bands.near.precision * 100).toFixed(1)} % of edited copies are right`;
  if (scores.source === 'withdrawn') return `withdrawn: ${precision}`;
  return scores.source === 'collection' ? `collection’s: ${precision}` : 'encoder’s';
}

function duration(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return 'less than a minute';
  const hours = Math.floor(minutes / 60);
  if (hours < 1) return `${minutes} min`;
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

function FactList({ facts }: { readonly facts: readonly (readonly [name: string, value: string])[] }) {
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <Fragment key={name}>
          <dt>{name}</dt>
          <dd class="number">{value}</dd>
        </Fragment>
      ))}
    </dl>
  );
}
