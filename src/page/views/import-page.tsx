import { Notice } from '../parts/notice.js';

/** The import page. */
export function ImportPage() {
  return <Notice title="Soon" />;
}
