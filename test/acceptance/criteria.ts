/**
 * The register of the acceptance suite: each criterion of the reliability issue, what it promises in one sentence, and
 * the file that measures it. A file may measure several criteria; a criterion without a file stands in
 * docs/reliability.md as not measured.
 */

/** Name of a criterion, A1 to A32. */
export type CriterionId = `A${number}`;

/** One criterion. `file` is the start of its file's name in this folder, without `.acceptance.ts`. */
export type Criterion = { readonly id: CriterionId; readonly title: string; readonly file?: string };

/** All of them, in order. */
export const CRITERIA: readonly Criterion[] = [
  { id: 'A1', title: 'Capacity', file: 'a01-capacity' },
  { id: 'A2', title: 'Twice the capacity', file: 'a02-twice-the-capacity' },
  { id: 'A3', title: 'Ten times, then calm', file: 'a03-ten-times-then-calm' },
  { id: 'A4', title: 'Memory stays flat', file: 'a04-memory-soak' },
  { id: 'A5', title: 'Slow clients', file: 'a05-slow-clients' },
  { id: 'A6', title: 'Slow readers', file: 'a06-slow-readers' },
  { id: 'A7', title: 'Endless uploads', file: 'a07-endless-uploads' },
  { id: 'A8', title: 'Fairness between keys', file: 'a08-fairness' },
  { id: 'A9', title: 'kill -9 in writes', file: 'a09-kill' },
  { id: 'A10', title: 'Kill at named points', file: 'a10-failpoints' },
  { id: 'A11', title: 'Tenants', file: 'a11-tenants' },
  { id: 'A12', title: 'Snapshots', file: 'a12-snapshots' },
  { id: 'A13', title: 'Full disk', file: 'a13-full-disk' },
  { id: 'A14', title: 'The n-th I/O error', file: 'a14-io-errors' },
  { id: 'A15', title: 'Lost unflushed pages', file: 'a15-lost-pages' },
  { id: 'A16', title: 'Damaged index file', file: 'a16-damaged-index' },
  { id: 'A17', title: 'Graceful stop', file: 'a17-graceful-stop' },
  { id: 'A18', title: 'Encoder faults', file: 'a18-encoder-faults' },
  { id: 'A19', title: 'Killed decoders', file: 'a19-killed-decoders' },
  { id: 'A20', title: 'Clock and restart storm', file: 'a20-clock-and-restarts' },
  { id: 'A21', title: 'Corpus of bad images', file: 'a21-corpus' },
  { id: 'A22', title: 'Bombs', file: 'a22-bombs' },
  { id: 'A23', title: 'Same picture in other encodings', file: 'a23-image-encodings' },
  { id: 'A24', title: 'Spoofed types', file: 'a24-spoofed-types' },
  { id: 'A25', title: 'SSRF and XXE', file: 'a25-ssrf' },
  { id: 'A26', title: 'Names and metadata', file: 'a26-names' },
  { id: 'A27', title: 'Protocol abuse', file: 'a27-protocol-abuse' },
  { id: 'A28', title: 'Keys', file: 'a28-keys' },
  { id: 'A29', title: 'Roles', file: 'a29-roles' },
  { id: 'A30', title: 'Exposure', file: 'a30-exposure' },
  { id: 'A31', title: 'Accelerator absent', file: 'a31-no-accelerator' },
  { id: 'A32', title: 'Read your writes', file: 'a32-read-your-writes' },
];

/** The criteria that a file of this folder measures; `name` is the file's base name, compiled or not. */
export function criteriaOf(name: string): readonly Criterion[] {
  return CRITERIA.filter(({ file }) => file !== undefined && new RegExp(`^${file}\\.acceptance\\.[jt]s$`).test(name));
}
