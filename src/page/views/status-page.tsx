import { Notice } from '../parts/notice.js';

/** The status page. */
export function StatusPage() {
  return <Notice title="Soon" />;
}
