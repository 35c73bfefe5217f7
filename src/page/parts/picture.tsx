import { useEffect, useState } from 'preact/hooks';
import { useService } from '../state/service.js';

type PictureProps = {
  /** A path of the service, such as a result's thumbnailUrl. */
  readonly path: string;
  readonly alt: string;
  readonly eager?: boolean;
  readonly class?: string | undefined;
  /** Shown where the path has no picture that the browser can draw. */
  readonly fallback?: string;
  readonly onSize?: (size: { readonly width: number; readonly height: number }) => void;
};

/** A picture of the service. With a key it is fetched with it, since an `img` cannot send one; without, the browser loads and caches it. */
export function Picture({ path, alt, eager = false, class: className, fallback, onSize }: PictureProps) {
  const { client, apiKey } = useService();
  const [broken, setBroken] = useState<readonly string[]>([]); // All of them: the fallback may be broken too, and then nothing is asked again.
  const [blobAddress, setBlobAddress] = useState<string>();
  const wanted = broken.includes(path) && fallback !== undefined ? fallback : path;
  const giveUp = (address: string): void => setBroken((before) => [...before, address]);

  useEffect(() => {
    if (apiKey === undefined) return;
    const given = new AbortController();
    let made: string | undefined;
    client.file(wanted, { signal: given.signal }).then(
      (blob) => {
        made = URL.createObjectURL(blob);
        setBlobAddress(made);
      },
      () => {
        if (!given.signal.aborted) giveUp(wanted);
      },
    );
    return () => {
      given.abort();
      if (made !== undefined) URL.revokeObjectURL(made);
      setBlobAddress(undefined);
    };
  }, [client, apiKey, wanted]);

  const source = apiKey === undefined ? client.addressOf(wanted).href : blobAddress;
  if (broken.includes(wanted)) return <span class={`no-picture ${className ?? ''}`} role="img" aria-label={`${alt} (no preview)`} />;
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
      onLoad={(event) => onSize?.({ width: event.currentTarget.naturalWidth, height: event.currentTarget.naturalHeight })}
    />
  );
}
