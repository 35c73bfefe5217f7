import type { SearchResult, StoredImage } from '../../client/client.js';
import { GROUPS, scoreText, viewWord } from '../state/result-words.js';
import type { KnownComparison } from '../state/use-comparison.js';

type DetailFactsProps = {
  readonly result: SearchResult | undefined;
  readonly record: StoredImage | undefined;
  readonly known: KnownComparison;
  readonly hasQuery: boolean;
};

const BAND_WORDS = {
  same: 'the same picture',
  near: 'a copy',
  related: 'more alike than 99 of 100 pairs',
  unrelated: 'not more alike than pictures are by chance',
} as const;

/** What is known of a picture: what it is to the query and by which measure, its file, its metadata. */
export function DetailFacts({ result, record, known, hasQuery }: DetailFactsProps) {
  const { comparison, why, isLoading } = known;
  const band = result?.band ?? comparison?.band ?? undefined;
  const group = GROUPS.find(({ match }) => match === result?.match);
  const regions = result?.regions ?? comparison?.regions;
  return (
    <>
      {result !== undefined && (
        <dl class="facts">
          {group !== undefined && <Fact name="Match">{`${group.title}: ${group.explanation}`}</Fact>}
          <Fact name="Score">
            <span class="number">{scoreText(result.score)}</span>
            {band !== undefined && ` · ${BAND_WORDS[band.name]}`}
          </Fact>
          {band !== undefined && (
            <Fact name="A copy?">
              <span class="number">{percent(band.probability)}</span> likely
            </Fact>
          )}
          {comparison !== undefined && comparison.hashes.distance !== null && (
            <Fact name="Fingerprint">
              {comparison.hashes.distance} of 256 bits differ; up to {comparison.hashes.threshold} is a copy
            </Fact>
          )}
          {result.view !== undefined && <Fact name="View">your picture {viewWord(result.view)}</Fact>}
          {result.folded !== undefined && result.folded.length > 0 && <Fact name="Alike">{result.folded.join(', ')}</Fact>}
          {hasQuery && (
            <Fact name="Where">
              {isLoading && 'looking…'}
              {why}
              {regions?.available === false && regions.reason}
              {regions?.available === true &&
                (regions.pairs.length === 0
                  ? 'no part matches clearly'
                  : `${regions.pairs.length} parts match; the best is ${scoreText(regions.pairs[0]!.similarity)}`)}
            </Fact>
          )}
        </dl>
      )}
      {record !== undefined && (
        <dl class="facts">
          <Fact name="Id">{record.id}</Fact>
          <Fact name="File">
            {record.format.toUpperCase()}, {record.width} × {record.height}, {fileSize(record.bytes)}
          </Fact>
          <Fact name="Added">{new Date(record.addedAt).toLocaleString()}</Fact>
          {Object.entries(record.metadata).map(([key, value]) => (
            <Fact key={key} name={key}>
              {typeof value === 'string' ? value : JSON.stringify(value)}
            </Fact>
          ))}
        </dl>
      )}
    </>
  );
}

function Fact({ name, children }: { readonly name: string; readonly children: preact.ComponentChildren }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  );
}

function percent(probability: number): string {
  if (probability > 0 && probability < 0.01) return 'less than 1 %';
  return probability < 1 && probability > 0.99 ? 'more than 99 %' : `${Math.round(probability * 100)} %`;
}

function fileSize(bytes: number): string {
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
