import { Button } from '../button.js';

/** A file that was not stored, with reason and remedy. */
type FailureRow = { readonly name: string; readonly reason: string; readonly advice: string };

type FailureTableProps = { readonly rows: readonly FailureRow[]; readonly more?: (() => void) | undefined };

/** The files that an import did not store. `more` loads further rows. */
export function FailureTable({ rows, more }: FailureTableProps) {
  return (
    <div class="table-frame">
      <table class="table">
        <caption class="visually-hidden">Files that were not stored</caption>
        <thead>
          <tr>
            <th scope="col">File</th>
            <th scope="col">Reason</th>
            <th scope="col">What to do</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ name, reason, advice }, at) => (
            // Rows are only appended, and names may repeat.
            <tr key={at}>
              <th scope="row">{name}</th>
              <td>{reason}</td>
              <td class="soft">{advice}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {more !== undefined && (
        <Button look="small" onClick={more}>
          Show more
        </Button>
      )}
    </div>
  );
}
