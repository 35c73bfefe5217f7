/** Neighbour sheets of an evaluation: which queries stand on them, and their pictures. */
import sharp from 'sharp';
import type { ImageDataset } from '../../datasets/image-dataset.js';
import type { Pixels } from '../../images/pixels.js';
import type { CopyExample } from '../copy-search.js';
import type { EvaluationReport } from '../evaluation-report.js';
import type { RankedNeighbours } from '../exact-search.js';
import { neighbourSheet, type SheetRow } from './neighbour-sheet.js';

type ReportSheet = EvaluationReport['sheets'][number];

/** Neighbours beside each query, as in the article. */
export const SHEET_NEIGHBOURS = 9;
const TILE_SIZE = 96;

/** Rows of queries and their nearest neighbours. ranked: the same queries in the same order. */
export async function drawNeighbours(options: {
  readonly title: string;
  readonly database: ImageDataset;
  readonly queries: ImageDataset;
  readonly queryRows: ArrayLike<number>;
  readonly ranked: RankedNeighbours;
}): Promise<ReportSheet> {
  const { title, database, queries, queryRows, ranked } = options;
  const rows: SheetRow[] = [];
  for (let row = 0; row < queryRows.length; row++) {
    const query = queryRows[row]!;
    const label = queries.labels?.[query];
    const neighbours = [];
    for (let i = row * ranked.k; i < row * ranked.k + Math.min(ranked.k, SHEET_NEIGHBOURS); i++) {
      const found = ranked.indices[i]!;
      const sameClass = label === undefined || !database.labels ? undefined : database.labels[found] === label;
      neighbours.push({ pixels: await picture(await database.bytes(found)), score: ranked.scores[i]!, sameClass });
    }
    const caption = (label === undefined ? undefined : queries.classes?.[label]) ?? queries.imageName(query);
    rows.push({ query: await picture(await queries.bytes(query)), caption, neighbours });
  }
  return asReportSheet(title, await neighbourSheet({ rows, tileSize: TILE_SIZE }));
}

/** Rows of edited images; the original among the neighbours is framed as of the same class. */
export async function drawCopies(options: {
  readonly title: string;
  readonly database: ImageDataset;
  readonly examples: readonly CopyExample[];
}): Promise<ReportSheet> {
  const { title, database, examples } = options;
  const rows: SheetRow[] = [];
  for (const example of examples) {
    const neighbours = [];
    for (const [place, found] of example.nearest.slice(0, SHEET_NEIGHBOURS).entries()) {
      const pixels = await picture(await database.bytes(found));
      neighbours.push({ pixels, score: example.scores[place]!, sameClass: found === example.match || undefined });
    }
    rows.push({ query: await picture(example.bytes), caption: example.attack, neighbours });
  }
  return asReportSheet(title, await neighbourSheet({ rows, tileSize: TILE_SIZE }));
}

/** The picture for display: upright, whole, at most a tile large. */
async function picture(bytes: Uint8Array): Promise<Pixels> {
  const { data, info } = await sharp(bytes, { failOn: 'none' })
    .autoOrient()
    .flatten({ background: 'white' })
    .toColourspace('srgb')
    .removeAlpha()
    .resize(TILE_SIZE, TILE_SIZE, { fit: 'inside', withoutEnlargement: true })
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, rgb: data };
}

function asReportSheet(title: string, sheet: Awaited<ReturnType<typeof neighbourSheet>>): ReportSheet {
  const { bytes, width, height, mediaType } = sheet;
  return { title, mediaType, width, height, base64: Buffer.from(bytes).toString('base64') };
}

/** Width of a small sheet against the whole one: tiles of 48 pixels, for a table with dozens of sheets. */
const SHARE = 0.5;

/** A report's sheet at half its size, WebP: a fifth of the bytes. */
export async function smallSheet(
  sheet: EvaluationReport['sheets'][number],
): Promise<EvaluationReport['sheets'][number]> {
  const width = Math.round(sheet.width * SHARE);
  const { data, info } = await sharp(Buffer.from(sheet.base64, 'base64'))
    .resize({ width })
    .webp({ quality: 75 })
    .toBuffer({ resolveWithObject: true });
  return {
    title: sheet.title,
    mediaType: 'image/webp',
    width: info.width,
    height: info.height,
    base64: data.toString('base64'),
  };
}
