import { Notice } from '../parts/notice.js';

/** The map page. */
export function MapPage() {
  return <Notice title="Soon" />;
}
