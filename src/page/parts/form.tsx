import type { ComponentChildren } from 'preact';

type FormProps = {
  readonly class?: string;
  readonly onSubmit: () => void;
  readonly children: ComponentChildren;
};

/** A form that the page handles: the browser sends nothing. */
export function Form({ class: className = 'stack', onSubmit, children }: FormProps) {
  return (
    <form
      class={className}
      onSubmit={(event) => {
        event.preventDefault();
        onSubmit();
      }}
    >
      {children}
    </form>
  );
}
