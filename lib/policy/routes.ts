// What is known about routes, so that a new connection to a destination that copies does not find out
// again. A route is the pair of addresses that a connection has. Pure.
import { Adaptive } from './adaptive.js';

/** Routes to remember; the least recently used are forgotten. */
const MOST_ROUTES = 256;

export class Routes {
  readonly #routes = new Map<string, Adaptive>();

  /** What is known about a route, shared by its connections. */
  of(route: string): Adaptive {
    const known = this.#routes.get(route) ?? new Adaptive();
    this.#routes.delete(route);
    this.#routes.set(route, known);
    if (this.#routes.size > MOST_ROUTES) {
      const [oldest] = this.#routes.keys();
      this.#routes.delete(oldest as string);
    }
    return known;
  }
}
