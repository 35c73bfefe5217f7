import { useCallback } from 'preact/hooks';
import type { Statistics } from '../../client/client.js';
import { FactList } from '../parts/fact-list.js';
import { Failure } from '../parts/notice.js';
import { wordsFor } from '../state/error-words.js';
import { formatAddress, START } from '../state/page-address.js';
import { saveFile } from '../state/save-file.js';
import { useService } from '../state/service.js';
import { useAnswer } from '../state/use-answer.js';

/** Often enough to see an import grow, seldom enough not to be seen in the service's load. */
const REFRESH_MS = 5000;

/** What runs: the encoder and where it runs, the collections and their indexes, what scores mean here, and where to read more. */
export function StatusPage() {
  const { client } = useService();
  const { answer, error, again } = useAnswer(
    useCallback((signal: AbortSignal) => client.statistics({ signal }), [client]),
    REFRESH_MS,
  );
  return (
    <div class="narrow stack roomy">
      <h1>Status</h1>
      {error !== undefined && <Failure error={error} retry={again} slim={answer !== undefined} />}
      {answer !== undefined && <Facts statistics={answer} />}
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
            ['Numbers per picture', encoder.dimensions.toLocaleString()],
            ['Shows where pictures match', encoder.hasFeatures ? 'yes' : 'no, it has no map of local features'],
            ['Identity', encoder.id],
          ]}
        />
        {report !== null && <ReportLink path={report} />}
      </section>
      <section class="panel stack" aria-labelledby="status-collections">
        <h2 id="status-collections">Collections</h2>
        {collections.length === 0 ? <NoPictures /> : <CollectionTable collections={collections} />}
        {imports.running > 0 && (
          <p>
            <PageLink page="import">{imports.running === 1 ? 'One import is running' : `${imports.running} imports are running`}</PageLink>
          </p>
        )}
      </section>
      <section class="panel stack" aria-labelledby="status-scores">
        <h2 id="status-scores">What scores mean</h2>
        <p class="soft">
          {scores === null
            ? 'Nothing was measured for this encoder: the words beside scores come from cautious limits set by hand.'
            : `The words beside scores come from curves fitted to edited copies of ${scores.images.toLocaleString()} pictures and measured on others, for this encoder, on ${new Date(scores.fittedAt).toLocaleDateString()}.`}{' '}
          A collection of 500 pictures or more gets curves of its own when the service has a quiet minute; the table above says which have.
        </p>
      </section>
      <section class="panel stack" aria-labelledby="status-service">
        <h2 id="status-service">Service</h2>
        <FactList
          facts={[
            ['Version', version],
            ['Running for', duration(uptimeSeconds)],
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

/** Opens the report. Where a key is needed, which a link cannot send, the page fetches the report and hands it over as a file. */
function ReportLink({ path }: { readonly path: string }) {
  const { client, apiKey, toast } = useService();
  const words = 'How good it is: its report';
  const save = async (): Promise<void> => {
    try {
      saveFile('report.html', await client.file(path));
    } catch (error) {
      toast(wordsFor(error).title);
    }
  };
  return (
    <p>
      {apiKey === undefined ? (
        <a href={client.addressOf(path).href} target="_blank" rel="noreferrer">
          {words}
        </a>
      ) : (
        <button type="button" class="button" onClick={() => void save()}>
          {words} (saves a file)
        </button>
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
            <th scope="col">Finds of the true nearest</th>
            <th scope="col">What scores mean</th>
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
              <td>{indexWord(collection)}</td>
              <td>{recallWord(collection)}</td>
              <td>{scoresWord(collection)}</td>
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
    <a
      href={formatAddress(target)}
      onClick={(event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey) return;
        event.preventDefault();
        navigate(target);
      }}
    >
      {props.children}
    </a>
  );
}

/** Whole, or how much of it is still to come; marks of deleted pictures are cleared by a rebuild in the background. */
function indexWord({ images, indexedImages, deletedMarks }: Statistics['collections'][number]): string {
  const marks = deletedMarks === 0 ? '' : `, ${deletedMarks.toLocaleString()} removed ones to clear`;
  return indexedImages >= images ? `whole${marks}` : `${indexedImages.toLocaleString()} of ${images.toLocaleString()}${marks}`;
}

function recallWord({ recall, breadth }: Statistics['collections'][number]): string {
  if (breadth === null) return 'all: compared one by one';
  return recall === undefined || recall === null ? 'not measured yet' : `${(recall * 100).toFixed(1)} % (breadth ${breadth})`;
}

/** Whose curves the words beside its scores come from, and how far those called copies can be believed. */
function scoresWord({ scores }: Statistics['collections'][number]): string {
  if (scores === null) return 'cautious limits';
  const precision = `${(scores.bands.near.precision * 100).toFixed(1)} % of “near” are copies`;
  return scores.source === 'collection' ? `fitted to it: ${precision}` : 'as the encoder’s';
}

function duration(seconds: number): string {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) return 'less than a minute';
  const hours = Math.floor(minutes / 60);
  if (hours < 1) return `${minutes} min`;
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}
