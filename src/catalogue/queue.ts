/** A first-in, first-out queue with constant time `shift`, which for an array moves all elements. */
export class Queue<Item> implements Iterable<Item> {
  #items: (Item | undefined)[];
  #head = 0;

  constructor(items: Iterable<Item> = []) {
    this.#items = Array.from(items);
  }

  get size(): number {
    return this.#items.length - this.#head;
  }

  /** The item that `shift` would return. */
  get first(): Item | undefined {
    return this.#items[this.#head];
  }

  push(item: Item): void {
    this.#items.push(item);
  }

  shift(): Item | undefined {
    if (this.size === 0) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head++] = undefined;
    if (this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  *[Symbol.iterator](): Iterator<Item> {
    // only those before the head are gone
    for (let index = this.#head; index < this.#items.length; index++) yield this.#items[index] as Item;
  }
}
