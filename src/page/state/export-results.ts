/** Search results as a file: JSON with every field of the response, or CSV for a spreadsheet. Pure. */
import type { SearchResult } from '../../client/client.js';
import { type FieldPath, fieldsOf, formatField } from './query/filter-rows.js';

/** Where, when and with which encoder the results were found. */
export type ExportFacts = { readonly address: string; readonly encoder: string | undefined; readonly at: Date };

/** The results as JSON, with page URL, time and encoder. */
export function exportJson(results: readonly SearchResult[], { address, encoder, at }: ExportFacts): string {
  return `${JSON.stringify({ search: address, encoder, exportedAt: at.toISOString(), results }, null, 2)}\n`;
}

/**
 * The results as CSV (RFC 4180), one column per metadata field. Starts with a byte-order mark: spreadsheets need it
 * for UTF-8.
 */
export function exportCsv(results: readonly SearchResult[]): string {
  const fields = fieldsOf(results.map(({ metadata }) => metadata));
  const head = [
    'id',
    'fileName',
    'score',
    'copy',
    'probability',
    'similar',
    'view',
    'folded',
    ...fields.map((field) => `metadata.${formatField(field)}`),
  ];
  const rows = results.map((result) => [
    result.id,
    result.fileName,
    result.score,
    result.copy,
    result.probability,
    result.similar,
    result.view,
    result.folded?.join(' '),
    ...fields.map((field) => valueAt(result.metadata, field)),
  ]);
  return `\uFEFF${[head, ...rows].map((row) => row.map(cell).join(',')).join('\r\n')}\r\n`;
}

function valueAt(metadata: { readonly [key: string]: unknown }, path: FieldPath): unknown {
  let value: unknown = metadata;
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as { readonly [key: string]: unknown })[key];
  }
  return value;
}

function cell(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  // Spreadsheets run cells that start like a formula, and file names and metadata are untrusted.
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}
