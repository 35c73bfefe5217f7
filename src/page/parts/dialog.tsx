import type { ComponentChildren, RefObject } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import { IconButton } from './button.js';

type DialogProps = {
  readonly title: string;
  readonly onClose: () => void;
  readonly className?: string;
  readonly children: ComponentChildren;
};

/** A modal dialog: the browser's own, which traps the focus and closes by Esc. A click outside closes it too. */
export function Dialog({ title, onClose, className = '', children }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useModal(element);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the keyboard uses Esc, which the element handles.
    <dialog
      ref={element}
      class={`dialog ${className}`}
      aria-labelledby={heading}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === event.currentTarget && !isInside(event, event.currentTarget)) onClose();
      }}
    >
      <div class="dialog-head">
        <h2 id={heading}>{title}</h2>
        <IconButton icon="close" label="Close" onClick={onClose} />
      </div>
      {children}
    </dialog>
  );
}

/**
 * Opens a dialog as modal while its component is mounted. Afterwards the focus returns to where it was; if that element
 * is gone, to the current card or the content.
 */
export function useModal(element: RefObject<HTMLDialogElement | null>): void {
  useEffect(() => {
    const dialog = element.current;
    const opener = document.activeElement;
    dialog?.showModal();
    return () => {
      dialog?.close();
      // After the render: the dialog is removed only then, and so may the opener be.
      setTimeout(() => {
        if (hasFocus()) return;
        if (opener instanceof HTMLElement && opener !== document.body && opener.isConnected) opener.focus();
        else focusContent();
      });
    };
  }, []);
}

/** True if an element has the focus: it is on the body when the focused element was removed. */
export function hasFocus(): boolean {
  return document.activeElement !== null && document.activeElement !== document.body;
}

function focusContent(): void {
  const target = document.querySelector<HTMLElement>('[data-card][tabindex="0"]') ?? document.querySelector('main');
  target?.focus({ preventScroll: true });
}

/** Clicks on padding and on the backdrop both have the dialog as target; only the padding is inside. */
function isInside(event: MouseEvent, dialog: HTMLDialogElement): boolean {
  const { left, right, top, bottom } = dialog.getBoundingClientRect();
  return event.clientX >= left && event.clientX <= right && event.clientY >= top && event.clientY <= bottom;
}
