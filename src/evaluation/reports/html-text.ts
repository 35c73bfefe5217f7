/**
 * Text for HTML and for attributes in double quotes. Names of encoders, classes and files come from users: all of them
 * pass through here.
 */
export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}

/** A share 0..1 as "44.2 %"; a dash where it was not measured. */
export function percent(share: number | null | undefined): string {
  return share === null || share === undefined || Number.isNaN(share) ? '–' : `${(share * 100).toFixed(1)} %`;
}
