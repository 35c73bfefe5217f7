import { Fragment } from 'preact';

/** Names and values, side by side. */
export function FactList({ facts }: { readonly facts: readonly (readonly [name: string, value: string])[] }) {
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <Fragment key={name}>
          <dt>{name}</dt>
          <dd class="number">{value}</dd>
        </Fragment>
      ))}
    </dl>
  );
}
