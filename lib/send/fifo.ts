// First in, first out, without the cost of an array's shift(). Pure.

/** Beyond this many items taken the array is cut. */
const CUT_AFTER = 1024;

export class Fifo<Item> {
  #items: (Item | undefined)[] = [];
  #first = 0;

  get size(): number {
    return this.#items.length - this.#first;
  }

  /** The oldest. Not to be asked of an empty one. */
  get head(): Item {
    return this.#items[this.#first] as Item;
  }

  /** The item `ahead` places behind the head. */
  at(ahead: number): Item {
    return this.#items[this.#first + ahead] as Item;
  }

  push(item: Item): void {
    this.#items.push(item);
  }

  /** Takes the head out. Not to be asked of an empty one. */
  shift(): Item {
    const item = this.head;
    // What was taken must not live on behind what was not.
    this.#items[this.#first++] = undefined;
    if (this.#first === this.#items.length) {
      this.#items.length = 0;
      this.#first = 0;
    } else if (this.#first >= CUT_AFTER) {
      this.#items.splice(0, this.#first);
      this.#first = 0;
    }
    return item;
  }

  /** Takes an item out, wherever it stands. Whether it was here. */
  remove(item: Item): boolean {
    const at = this.#items.indexOf(item, this.#first);
    if (at < 0) return false;
    this.#items.splice(at, 1);
    return true;
  }

  /** Takes all out. */
  clear(): Item[] {
    const items = this.#items.slice(this.#first) as Item[];
    this.#items = [];
    this.#first = 0;
    return items;
  }
}
