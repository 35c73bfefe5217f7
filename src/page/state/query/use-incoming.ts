import { useLayoutEffect, useState } from 'preact/hooks';

/** Something dropped on or pasted into the window. */
export type Incoming =
  | { readonly kind: 'files'; readonly files: readonly File[]; readonly entries: readonly FileSystemEntry[] }
  | { readonly kind: 'stored'; readonly id: string }
  | { readonly kind: 'url'; readonly url: string };

/** Drag type of the page's own pictures. */
export const STORED_TYPE = 'application/x-likeness-image';

/** Receives drops and pastes on the whole window, screenshots too. Returns true while something is dragged over it. */
export function useIncoming(receive: (incoming: Incoming) => void): boolean {
  const [isOver, setIsOver] = useState(false);
  useLayoutEffect(() => {
    let depth = 0; // Every element under the pointer fires dragenter and dragleave.
    const enter = (event: DragEvent): void => {
      if (!carries(event.dataTransfer)) return;
      event.preventDefault();
      depth++;
      setIsOver(true);
    };
    const leave = (): void => {
      depth = Math.max(0, depth - 1);
      if (depth === 0) setIsOver(false);
    };
    const over = (event: DragEvent): void => {
      if (carries(event.dataTransfer)) event.preventDefault();
    };
    const drop = (event: DragEvent): void => {
      depth = 0;
      setIsOver(false);
      if (!carries(event.dataTransfer)) return;
      event.preventDefault();
      const incoming = read(event.dataTransfer);
      if (incoming !== undefined) receive(incoming);
    };
    const paste = (event: ClipboardEvent): void => {
      const incoming = read(event.clipboardData);
      const isTyping =
        event.target instanceof HTMLElement && event.target.closest('input, textarea, [contenteditable]') !== null;
      if (incoming === undefined || (isTyping && incoming.kind !== 'files')) return;
      event.preventDefault();
      receive(incoming);
    };
    addEventListener('dragenter', enter);
    addEventListener('dragleave', leave);
    addEventListener('dragover', over);
    addEventListener('drop', drop);
    addEventListener('paste', paste);
    return () => {
      removeEventListener('dragenter', enter);
      removeEventListener('dragleave', leave);
      removeEventListener('dragover', over);
      removeEventListener('drop', drop);
      removeEventListener('paste', paste);
    };
  }, [receive]);
  return isOver;
}

/** The first line as an http(s) URL, or undefined. */
export function asWebAddress(text: string): string | undefined {
  const first = text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .find((line) => line !== '' && !line.startsWith('#'));
  return first !== undefined && /^https?:\/\/\S+$/i.test(first) && URL.canParse(first) ? first : undefined;
}

function carries(data: DataTransfer | null): boolean {
  return (
    data !== null &&
    [...data.types].some((type) => type === 'Files' || type === STORED_TYPE || type === 'text/uri-list')
  );
}

function read(data: DataTransfer | null): Incoming | undefined {
  if (data === null) return undefined;
  const id = data.getData(STORED_TYPE);
  if (id !== '') return { kind: 'stored', id };
  if (data.files.length > 0) {
    // Read now: the list is empty after the event.
    const entries = [...data.items].flatMap((item) => item.webkitGetAsEntry?.() ?? []);
    return { kind: 'files', files: [...data.files], entries };
  }
  const url = asWebAddress(data.getData('text/uri-list') || data.getData('text/plain'));
  return url === undefined ? undefined : { kind: 'url', url };
}
