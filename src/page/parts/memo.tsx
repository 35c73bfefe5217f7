import { Component, type FunctionComponent } from 'preact';

/** The part, drawn anew only where one of its properties is another one: for long lists, most of whose entries stay as they are. What it takes from a context still reaches it. */
export function memo<Properties extends object>(Part: FunctionComponent<Properties>) {
  return class Remembered extends Component<Properties> {
    override shouldComponentUpdate(next: Properties): boolean {
      const names = Object.keys({ ...this.props, ...next }) as (keyof Properties)[]; // Of these two objects they are the keys.
      return names.some((name) => next[name] !== (this.props as Properties)[name]);
    }

    override render() {
      return <Part {...(this.props as Properties)} />; // With children besides, which a part of a list has not.
    }
  };
}
