import { formatAddress, searchFor } from '../state/query/page-address.js';
import { STORED_TYPE } from '../state/query/use-incoming.js';
import { displayName } from '../state/result-messages.js';
import { useService } from '../state/service.js';
import { Link } from './link.js';
import { Picture } from './picture.js';

type StoredPictureProps = {
  readonly image: { readonly id: string; readonly fileName?: string | null };
  readonly thumbnailUrl: string;
};

/** A stored picture as an item of a grid: a link that searches with it, and can be dragged to where pictures go. */
export function StoredPicture({ image, thumbnailUrl }: StoredPictureProps) {
  const { address, navigate } = useService();
  const target = searchFor(address, { kind: 'stored', id: image.id });
  const name = displayName(image);
  return (
    <li class="card">
      <Link
        class="card-open"
        href={formatAddress(target)}
        aria-label={`Search with ${name}`}
        title={name}
        draggable
        onDragStart={(event) => event.dataTransfer?.setData(STORED_TYPE, image.id)}
        follow={() => navigate(target)}
      >
        <span class="tile">
          <Picture path={thumbnailUrl} alt="" />
        </span>
      </Link>
    </li>
  );
}
