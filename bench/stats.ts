// Medians and spreads of what was measured.
import * as statistics from 'simple-statistics';

export interface Spread {
  median: number;
  min: number;
  max: number;
}

/** NaN of nothing. */
export function median(values: readonly number[]): number {
  return values.length === 0 ? NaN : statistics.median([...values]);
}

export function spread(values: readonly number[]): Spread {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/** Least squares; the change of y per unit of x. */
export function slope(points: readonly (readonly [number, number])[]): number {
  return statistics.linearRegression(points.map(([x, y]) => [x, y])).m;
}
