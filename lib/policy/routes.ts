// What was learned of routes, so that a new connection to a copying destination does not pay for it
// again. A route is the pair of addresses that a connection has. Pure.
import { Adaptive } from './adaptive.js';

/** Routes that are remembered; the ones that were asked for least recently are forgotten. */
const MOST_ROUTES = 256;

export class Routes {
  readonly #routes = new Map<string, Adaptive>();

  /** What is known of a route, shared by its connections. */
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
