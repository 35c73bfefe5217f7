import { useEffect, useState } from 'preact/hooks';
import { useService } from '../state/service.js';

/** Natural size of a loaded picture, in pixels. */
export type PictureSize = { readonly width: number; readonly height: number };

type PictureProps = {
  /** Path on the service, such as a result's thumbnailUrl. */
  readonly path: string;
  readonly alt: string;
  readonly eager?: boolean;
  readonly class?: string | undefined;
  /** Path of the picture shown if the browser cannot draw the first. */
  readonly fallback?: string;
  readonly onSize?: ((size: PictureSize) => void) | undefined;
};

/**
 * A picture of the service. With an API key it is fetched, as an `img` cannot send one; otherwise the browser loads and
 * caches it.
 */
export function Picture({ path, alt, eager = false, class: className, fallback, onSize }: PictureProps) {
  const { client, apiKey } = useService();
  // Both paths may fail; neither is requested again.
  const [broken, setBroken] = useState<readonly string[]>([]);
  const [blobAddress, setBlobAddress] = useState<string>();
  const wanted = broken.includes(path) && fallback !== undefined ? fallback : path;
  const giveUp = (address: string): void => setBroken((before) => [...before, address]);

  useEffect(() => {
    if (apiKey === undefined) return;
    const controller = new AbortController();
    let made: string | undefined;
    client.file(wanted, { signal: controller.signal }).then(
      (blob) => {
        if (controller.signal.aborted) return;
        made = URL.createObjectURL(blob);
        setBlobAddress(made);
      },
      () => {
        if (!controller.signal.aborted) giveUp(wanted);
      },
    );
    return () => {
      controller.abort();
      if (made !== undefined) URL.revokeObjectURL(made);
      setBlobAddress(undefined);
    };
  }, [client, apiKey, wanted]);

  const source = apiKey === undefined ? client.addressOf(wanted).href : blobAddress;
  if (broken.includes(wanted))
    return <span class={`no-picture ${className ?? ''}`} role="img" aria-label={`${alt} (no preview)`} />;
  return (
    <img
      class={className}
      src={source}
      alt={alt}
      loading={eager ? 'eager' : 'lazy'}
      decoding="async"
      draggable={false}
      onError={() => {
        if (source !== undefined) giveUp(wanted);
      }}
      onLoad={(event) =>
        onSize?.({ width: event.currentTarget.naturalWidth, height: event.currentTarget.naturalHeight })
      }
    />
  );
}
