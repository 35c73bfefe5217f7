import type { ImageDataset } from '../../datasets/image-dataset.js';
import { seededRandom, shuffledIndices } from '../../seeded-random.js';
import type { EncodedImages } from '../copy-search.js';
import { pickRows } from '../embedding-matrix.js';
import type { EvaluationReport } from '../evaluation-report.js';
import { type Metric, openExactSearch } from '../exact-search.js';
import { drawNeighbours, SHEET_NEIGHBOURS } from '../reports/drawn-sheets.js';
import { measureClasses } from './class-measures.js';
import { scoreHistogram } from './score-histogram.js';

/** A database and its queries, encoded. isLeaveOneOut: they are the same images, and no image may find itself. */
export type EncodedSplit = {
  readonly database: EncodedImages;
  readonly queries: EncodedImages;
  readonly isLeaveOneOut: boolean;
};

/**
 * Results of one metric: class measures and score histogram (with labels), the sheet, and the time of a plain search.
 */
export type SplitMeasures = {
  readonly classes: EvaluationReport['classes'][number] | undefined;
  readonly scores: EvaluationReport['scores'];
  readonly sheet: EvaluationReport['sheets'][number];
  readonly searchMsPerQuery: number;
};

const HISTOGRAM_BINS = 30;

/**
 * Searches every query by one metric, exactly, measures by labels where there are any, and draws `sheetRows`
 * seeded queries.
 */
export async function measureSplit(options: {
  readonly split: EncodedSplit;
  readonly metric: Metric;
  readonly sheetRows: number;
  readonly seed: number;
}): Promise<SplitMeasures> {
  const { split, metric } = options;
  const { database, queries, isLeaveOneOut } = split;
  const search = await openExactSearch({ database: database.embeddings, metric });
  try {
    const rows = sheetQueries(queries.dataset, options);
    const ranked = await search.nearest({
      queries: pickRows(queries.embeddings, rows),
      k: SHEET_NEIGHBOURS,
      ...(isLeaveOneOut && { exclude: Int32Array.from(rows) }),
    });
    const title = `Nearest neighbours by ${metric === 'cosine' ? 'cosine similarity' : 'Euclidean distance'}`;
    const sheet = await drawNeighbours({
      title,
      database: database.dataset,
      queries: queries.dataset,
      queryRows: rows,
      ranked,
    });

    const request = {
      queries: queries.embeddings,
      ...(isLeaveOneOut && { exclude: Int32Array.from({ length: queries.dataset.count }, (_, index) => index) }),
    };
    const before = performance.now();
    const best = await search.nearest({ ...request, k: 1 });
    const searchMsPerQuery = (performance.now() - before) / queries.dataset.count;
    const [databaseLabels, queryLabels] = [database.dataset.labels, queries.dataset.labels];
    if (!databaseLabels || !queryLabels) return { classes: undefined, scores: null, sheet, searchMsPerQuery };
    const isRight = Array.from(queryLabels, (label, query) => databaseLabels[best.indices[query]!] === label);
    return {
      classes: { metric, ...(await measureClasses({ search, request, databaseLabels, queryLabels })) },
      scores: scoreHistogram({ scores: best.scores, isRight, bins: HISTOGRAM_BINS }),
      sheet,
      searchMsPerQuery,
    };
  } finally {
    await search.close();
  }
}

/** Seeded queries for the sheet, the classes in turn, the same for every encoder and metric. */
function sheetQueries(
  dataset: ImageDataset,
  settings: { readonly sheetRows: number; readonly seed: number },
): number[] {
  const order = [...shuffledIndices(dataset.count, seededRandom(settings.seed, 'sheet'))];
  const { labels } = dataset;
  if (!labels) return order.slice(0, settings.sheetRows);
  const seen = new Map<number, number>();
  const turnOf = new Map(
    order.map((index) => {
      const turn = seen.get(labels[index]!) ?? 0;
      seen.set(labels[index]!, turn + 1);
      return [index, turn] as const;
    }),
  );
  const byTurn = order.toSorted((a, b) => turnOf.get(a)! - turnOf.get(b)!).slice(0, settings.sheetRows);
  return byTurn.toSorted((a, b) => labels[a]! - labels[b]!);
}
