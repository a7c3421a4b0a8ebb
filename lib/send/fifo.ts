// First in, first out, without the cost of an array's shift(). `size` and `head` are plain properties, because
// queues are read several times for each send. Pure.

/** Beyond this many items taken the array is cut. */
const CUT_AFTER = 1024;

export class Fifo<Item> {
  /** How many items there are. Only this class sets it. */
  size = 0;
  /** The oldest item. Do not read it while there is none. Only this class sets it. */
  head = undefined as Item;
  #items: (Item | undefined)[] = [];
  #first = 0;

  /** The item `ahead` places behind the head. */
  at(ahead: number): Item {
    return this.#items[this.#first + ahead] as Item;
  }

  push(item: Item): void {
    if (this.size++ === 0) this.head = item;
    this.#items.push(item);
  }

  /** Takes the head out. Do not call it while there is none. */
  shift(): Item {
    const { head } = this;
    // Later items must not keep those that were taken alive.
    this.#items[this.#first++] = undefined;
    if (--this.size === 0) {
      this.#items.length = 0;
      this.#first = 0;
    } else if (this.#first >= CUT_AFTER) {
      this.#items.splice(0, this.#first);
      this.#first = 0;
    }
    this.head = this.#items[this.#first] as Item;
    return head;
  }

  /** Takes an item out, wherever it stands. @returns whether it was here */
  remove(item: Item): boolean {
    const at = this.#items.indexOf(item, this.#first);
    if (at < 0) return false;
    this.#items.splice(at, 1);
    this.size--;
    this.head = this.#items[this.#first] as Item;
    return true;
  }

  /** Takes all out. */
  clear(): Item[] {
    const items = this.#items.slice(this.#first) as Item[];
    this.#items = [];
    this.#first = 0;
    this.size = 0;
    this.head = undefined as Item;
    return items;
  }
}
