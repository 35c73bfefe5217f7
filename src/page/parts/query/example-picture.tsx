import { useEffect, useState } from 'preact/hooks';
import type { Example } from '../../state/query/page-address.js';
import { useService } from '../../state/service.js';
import { Icon } from '../icons.js';
import { Picture, type PictureSize } from '../picture.js';

type ExamplePictureProps = {
  readonly example: Example;
  readonly alt: string;
  readonly class?: string;
  readonly isLarge?: boolean;
  readonly onSize?: (size: PictureSize) => void;
  /** Collection of a stored example; default: the current one. */
  readonly collection?: string | undefined;
};

/** Path of a stored image's thumbnail, where no response named one. */
export function thumbnailPath(id: string, collection: string): string {
  const query = collection === 'default' ? '' : `?collection=${encodeURIComponent(collection)}`;
  return `/images/${encodeURIComponent(id)}/thumbnail${query}`;
}

/**
 * The picture of an example: from this browser or from the service. An image URL shows an icon, as the page loads
 * nothing from other hosts.
 */
export function ExamplePicture({
  example,
  alt,
  class: className,
  isLarge = false,
  onSize,
  collection: ownCollection,
}: ExamplePictureProps) {
  const { address } = useService();
  const collection = ownCollection ?? address.collection;
  if (example.kind === 'url') {
    return (
      <span class={`no-picture web ${className ?? ''}`} role="img" aria-label={alt}>
        <Icon name="link" />
        <span>{hostOf(example.url)}</span>
      </span>
    );
  }
  if (example.kind === 'local')
    return <LocalPicture fileKey={example.key} alt={alt} class={className} onSize={onSize} />;
  if (isLarge)
    return <LargeStoredPicture id={example.id} collection={collection} alt={alt} class={className} onSize={onSize} />;
  return <Picture path={thumbnailPath(example.id, collection)} alt={alt} class={className} eager onSize={onSize} />;
}

type LargePictureProps = {
  readonly id: string;
  readonly collection: string;
  readonly alt: string;
  readonly class: string | undefined;
  readonly onSize: ((size: PictureSize) => void) | undefined;
};

/** The thumbnail first, then the original if one is stored. */
function LargeStoredPicture({ id, collection, alt, class: className, onSize }: LargePictureProps) {
  const { client } = useService();
  const [original, setOriginal] = useState<string | null>(null);
  useEffect(() => {
    const controller = new AbortController();
    setOriginal(null);
    client.image(id, { collection }, { signal: controller.signal }).then(
      ({ originalUrl }) => setOriginal(originalUrl),
      () => undefined, // The search reports the error.
    );
    return () => controller.abort();
  }, [client, id, collection]);
  const thumbnail = thumbnailPath(id, collection);
  return (
    <Picture path={original ?? thumbnail} fallback={thumbnail} alt={alt} class={className} eager onSize={onSize} />
  );
}

function LocalPicture({
  fileKey,
  alt,
  class: className,
  onSize,
}: {
  readonly fileKey: string;
  readonly alt: string;
  readonly class: string | undefined;
  readonly onSize: ((size: PictureSize) => void) | undefined;
}) {
  const { locals } = useService();
  const [source, setSource] = useState<string>();
  const [isBroken, setIsBroken] = useState(false);
  useEffect(() => {
    let made: string | undefined;
    let isClosed = false;
    locals.get(fileKey).then(
      (kept) => {
        if (isClosed) return;
        if (kept === undefined) return setIsBroken(true);
        made = URL.createObjectURL(kept.file);
        setIsBroken(false);
        setSource(made);
      },
      () => setIsBroken(true),
    );
    return () => {
      isClosed = true;
      if (made !== undefined) URL.revokeObjectURL(made);
    };
  }, [locals, fileKey]);
  if (isBroken) return <span class={`no-picture ${className ?? ''}`} role="img" aria-label={`${alt} (no preview)`} />;
  return (
    <img
      class={className}
      src={source}
      alt={alt}
      draggable={false}
      onError={() => source !== undefined && setIsBroken(true)}
      onLoad={(event) =>
        onSize?.({ width: event.currentTarget.naturalWidth, height: event.currentTarget.naturalHeight })
      }
    />
  );
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : url;
}
