import { useEffect, useState } from 'preact/hooks';
import type { Example } from '../state/page-address.js';
import { useService } from '../state/service.js';
import { Icon } from './icons.js';
import { Picture } from './picture.js';

type ExamplePictureProps = {
  readonly example: Example;
  readonly alt: string;
  readonly class?: string;
  readonly isLarge?: boolean;
  /** Where a stored example lies; that of the address where none is named. */
  readonly collection?: string | undefined;
};

/** Path of a stored image's thumbnail where no answer named one. */
export function thumbnailPath(id: string, collection: string): string {
  const query = collection === 'default' ? '' : `?collection=${encodeURIComponent(collection)}`;
  return `/images/${encodeURIComponent(id)}/thumbnail${query}`;
}

/** The picture of an example: from this browser, from the service, or a sign where it lies on the web (the page loads nothing from elsewhere). */
export function ExamplePicture({ example, alt, class: className, isLarge = false, collection: given }: ExamplePictureProps) {
  const { address } = useService();
  const collection = given ?? address.collection;
  if (example.kind === 'url') {
    return (
      <span class={`no-picture web ${className ?? ''}`} role="img" aria-label={alt}>
        <Icon name="link" />
        <span>{hostOf(example.url)}</span>
      </span>
    );
  }
  if (example.kind === 'local') return <LocalPicture fileKey={example.key} alt={alt} class={className} />;
  if (isLarge) return <LargeStoredPicture id={example.id} collection={collection} alt={alt} class={className} />;
  return <Picture path={thumbnailPath(example.id, collection)} alt={alt} class={className} eager />;
}

type LargePictureProps = { readonly id: string; readonly collection: string; readonly alt: string; readonly class: string | undefined };

/** The thumbnail at once; the original in its place where the image's record names one. */
function LargeStoredPicture({ id, collection, alt, class: className }: LargePictureProps) {
  const { client } = useService();
  const [original, setOriginal] = useState<string | null>(null);
  useEffect(() => {
    const given = new AbortController();
    setOriginal(null);
    client.image(id, { collection }, { signal: given.signal }).then(
      ({ originalUrl }) => setOriginal(originalUrl),
      () => undefined, // The search itself says what is wrong with the image.
    );
    return () => given.abort();
  }, [client, id, collection]);
  const thumbnail = thumbnailPath(id, collection);
  return <Picture path={original ?? thumbnail} fallback={thumbnail} alt={alt} class={className} eager />;
}

function LocalPicture({
  fileKey,
  alt,
  class: className,
}: {
  readonly fileKey: string;
  readonly alt: string;
  readonly class: string | undefined;
}) {
  const { locals } = useService();
  const [source, setSource] = useState<string>();
  const [isBroken, setIsBroken] = useState(false);
  useEffect(() => {
    let made: string | undefined;
    let isOver = false;
    locals.get(fileKey).then(
      (kept) => {
        if (isOver) return;
        if (kept === undefined) return setIsBroken(true);
        made = URL.createObjectURL(kept.file);
        setIsBroken(false);
        setSource(made);
      },
      () => setIsBroken(true),
    );
    return () => {
      isOver = true;
      if (made !== undefined) URL.revokeObjectURL(made);
    };
  }, [locals, fileKey]);
  if (isBroken) return <span class={`no-picture ${className ?? ''}`} role="img" aria-label={`${alt} (no preview)`} />;
  return <img class={className} src={source} alt={alt} draggable={false} onError={() => source !== undefined && setIsBroken(true)} />;
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : url;
}
