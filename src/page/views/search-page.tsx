import { Notice } from '../parts/notice.js';

/** The search page. */
export function SearchPage() {
  return <Notice title="Search" />;
}
