/** Results as a file to take along: JSON with all that was answered, or CSV for a spreadsheet. Pure. */
import type { SearchResult } from '../../client/client.js';
import { fieldsOf } from './filter-rows.js';

/** What an export says of itself besides the results. */
export type ExportFacts = { readonly address: string; readonly encoder: string | undefined; readonly at: Date };

/** The results as JSON, with when, where and by which encoder they were found. */
export function exportJson(results: readonly SearchResult[], { address, encoder, at }: ExportFacts): string {
  return `${JSON.stringify({ search: address, encoder, exportedAt: at.toISOString(), results }, null, 2)}\n`;
}

/** The results as CSV (RFC 4180, with a byte-order mark, which spreadsheets need for UTF-8): a column for each metadata field. */
export function exportCsv(results: readonly SearchResult[]): string {
  const fields = fieldsOf(results.map(({ metadata }) => metadata));
  const head = ['id', 'score', 'match', 'band', 'probability', 'view', 'folded', ...fields.map((field) => `metadata.${field}`)];
  const rows = results.map((result) => [
    result.id,
    result.score,
    result.match,
    result.band?.name,
    result.band?.probability,
    result.view,
    result.folded?.join(' '),
    ...fields.map((field) => valueAt(result.metadata, field)),
  ]);
  return `\uFEFF${[head, ...rows].map((row) => row.map(cell).join(',')).join('\r\n')}\r\n`;
}

function valueAt(metadata: { readonly [key: string]: unknown }, path: string): unknown {
  let value: unknown = metadata;
  for (const key of path.split('.')) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as { readonly [key: string]: unknown })[key];
  }
  return value;
}

function cell(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  // A cell that begins like a formula is one to a spreadsheet, and file names and metadata are a stranger's words.
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}
