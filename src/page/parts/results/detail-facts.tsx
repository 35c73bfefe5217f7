import type { SearchResult, StoredImage } from '../../../client/client.js';
import { GROUPS, groupOf, percentText, scoreText, viewText } from '../../state/result-messages.js';
import type { KnownComparison } from '../../state/use-comparison.js';

type DetailFactsProps = {
  readonly result: SearchResult | undefined;
  readonly record: StoredImage | undefined;
  readonly known: KnownComparison;
  readonly hasQuery: boolean;
};

/** Facts about a picture: relation to the query, file, metadata. */
export function DetailFacts({ result, record, known, hasQuery }: DetailFactsProps) {
  const { comparison, why, isLoading } = known;
  const group = GROUPS.find(({ group }) => result !== undefined && group === groupOf(result));
  const regions = result?.regions ?? comparison?.regions;
  return (
    <>
      {result !== undefined && (
        <dl class="facts">
          <Fact name="Match">
            {group === undefined
              ? 'Weaker match: no more alike than by chance'
              : `${group.label}: ${group.explanation}`}
          </Fact>
          <Fact name="Score">
            <span class="number">{scoreText(result.score)}</span>
          </Fact>
          <Fact name="Chance it is a copy">
            <span class="number">{percentText(result.probability)}</span>
          </Fact>
          {comparison !== undefined && comparison.hashes.distance !== null && (
            <Fact name="Perceptual hash">
              {comparison.hashes.distance} of 256 bits differ; a copy has at most {comparison.hashes.threshold}
            </Fact>
          )}
          {result.view !== undefined && <Fact name="Query">{viewText(result.view)}</Fact>}
          {result.folded !== undefined && result.folded.length > 0 && (
            <Fact name="Near-duplicates">{result.folded.join(', ')}</Fact>
          )}
          {hasQuery && (
            <Fact name="Matching areas">
              {isLoading && 'comparing…'}
              {why}
              {regions?.available === false && regions.reason}
              {regions?.available === true &&
                (regions.pairs.length === 0
                  ? 'none'
                  : `${regions.pairs.length}; the best scores ${scoreText(regions.pairs[0]!.similarity)}`)}
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
          {Object.entries(record.metadata)
            .filter(([key, value]) => key !== 'tags' || !isTagList(value))
            .map(([key, value]) => (
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

/** True for tags that are shown as such. */
function isTagList(value: unknown): boolean {
  return typeof value === 'string' || (Array.isArray(value) && value.every((tag) => typeof tag === 'string'));
}

function fileSize(bytes: number): string {
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
