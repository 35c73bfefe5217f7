/** One file that was not stored: its name, why, and what to do about it. */
export type FailureRow = { readonly name: string; readonly reason: string; readonly advice: string };

type FailureTableProps = { readonly rows: readonly FailureRow[]; readonly more?: (() => void) | undefined };

/** What an import could not store, and why. `more` fetches further rows where there are any. */
export function FailureTable({ rows, more }: FailureTableProps) {
  return (
    <div class="table-frame">
      <table class="table">
        <caption class="heard">Files that were not stored</caption>
        <thead>
          <tr>
            <th scope="col">File</th>
            <th scope="col">Why</th>
            <th scope="col">What to do</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ name, reason, advice }, at) => (
            // Rows are only ever added, and a name may come twice.
            <tr key={at}>
              <th scope="row">{name}</th>
              <td>{reason}</td>
              <td class="soft">{advice}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {more !== undefined && (
        <button type="button" class="button small" onClick={more}>
          Show more
        </button>
      )}
    </div>
  );
}
