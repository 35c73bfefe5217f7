import type { AnchorHTMLAttributes, ComponentChildren } from 'preact';

type LinkProps = AnchorHTMLAttributes & {
  readonly href: string;
  /** Goes there without loading the page anew. */
  readonly follow: () => void;
  readonly children: ComponentChildren;
};

/** A link that the page follows itself. With a modifier key the browser opens it in a new tab or window. */
export function Link({ href, follow, children, ...attributes }: LinkProps) {
  return (
    <a
      href={href}
      {...attributes}
      onClick={(event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey) return;
        event.preventDefault();
        follow();
      }}
    >
      {children}
    </a>
  );
}
