import { useEffect, useState } from 'preact/hooks';
import type { Example } from '../state/page-address.js';
import { useService } from '../state/service.js';
import { Icon } from './icons.js';
import { Picture } from './picture.js';

type ExamplePictureProps = { readonly example: Example; readonly alt: string; readonly class?: string; readonly isLarge?: boolean };

/** Path of a stored image's thumbnail where no answer named one. */
export function thumbnailPath(id: string, collection: string): string {
  const query = collection === 'default' ? '' : `?collection=${encodeURIComponent(collection)}`;
  return `/images/${encodeURIComponent(id)}/thumbnail${query}`;
}

/** Path of a stored image's original, which not every service keeps. */
export function originalPath(id: string, collection: string): string {
  return thumbnailPath(id, collection).replace(/\/thumbnail(?=\?|$)/, '/original');
}

/** The picture of an example: from this browser, from the service, or a sign where it lies on the web (the page loads nothing from elsewhere). */
export function ExamplePicture({ example, alt, class: className, isLarge = false }: ExamplePictureProps) {
  const { address } = useService();
  if (example.kind === 'url') {
    return (
      <span class={`no-picture web ${className ?? ''}`} role="img" aria-label={alt}>
        <Icon name="link" />
        <span>{hostOf(example.url)}</span>
      </span>
    );
  }
  if (example.kind === 'local') return <LocalPicture fileKey={example.key} alt={alt} class={className} />;
  const thumbnail = thumbnailPath(example.id, address.collection);
  if (!isLarge) return <Picture path={thumbnail} alt={alt} class={className} eager />;
  return <Picture path={originalPath(example.id, address.collection)} fallback={thumbnail} alt={alt} class={className} eager />;
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
