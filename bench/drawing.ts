// What all charts have in common: Vega draws them, without a browser. Colours and sizes stand in attributes, so
// that every viewer shows them alike.
import type { Mark, Spec } from 'vega' with { 'resolution-mode': 'import' };

export const width = 780;
/** Okabe and Ito: told apart also by readers who see fewer colours. */
export const colours = [
  '#8a919a',
  '#0072b2',
  '#d55e00',
  '#009e73',
  '#aa5c93',
  '#b08900',
  '#7a4b12',
  '#c43c5f',
  '#4d5fb0',
];
export const ink = '#1f2328';
export const faint = '#656d76';
const paper = '#ffffff';
const rule = '#d0d7de';
const font = 'system-ui, sans-serif';
/** Of the mean letter, in parts of the font's size. Capitals are wider, above all in fonts with serifs. */
const letterWidth = 0.55;
const capitalWidth = 0.75;

type MeasureText = (item: { readonly fontSize?: number }, text: unknown) => number;

/** Draws a chart. @param notes lines below the title, in small print */
export async function draw(title: string, notes: readonly string[], spec: Spec): Promise<string> {
  const vega = await import('vega');
  const whole: Spec = {
    $schema: 'https://vega.github.io/schema/vega/v6.json',
    description: title,
    background: paper,
    padding: 16,
    title: {
      text: title,
      subtitle: [...notes],
      anchor: 'start',
      frame: 'bounds',
      offset: 16,
      subtitlePadding: 6,
    },
    config: {
      axis: {
        domainColor: rule,
        gridColor: rule,
        labelColor: faint,
        labelFont: font,
        labelFontSize: 12,
        tickColor: rule,
        titleColor: faint,
        titleFont: font,
        titleFontSize: 12,
        titleFontWeight: 'normal',
      },
      legend: { labelColor: ink, labelFont: font, labelFontSize: legendFontSize, labelLimit: 0 },
      text: { font, fill: ink },
      title: {
        color: ink,
        font,
        fontSize: 16,
        subtitleColor: faint,
        subtitleFont: font,
        subtitleFontSize: 12,
      },
    },
    ...spec,
  };
  // Without a canvas Vega takes text for half as long again as it is, and leaves room for that.
  const { textMetrics } = vega as unknown as { textMetrics: { width: MeasureText } };
  textMetrics.width = ({ fontSize = 11 }, text) => fontSize * emsOf(String(text ?? ''));
  const view = new vega.View(vega.parse(whole), { renderer: 'none' });
  const svg = await view.toSVG();
  view.finalize();
  return `${svg}\n`;
}

/** How wide a text is, in parts of the font's size. */
function emsOf(text: string): number {
  const capitals = text.match(/[A-Z_]/g)?.length ?? 0;
  return capitals * capitalWidth + (text.length - capitals) * letterWidth;
}

const legendFontSize = 13;
const legendSymbolWidth = 18;
const legendPadding = 20;

/** Columns of a legend that is no wider than the plot, at most four. */
export function legendColumns(names: readonly string[]): number {
  const fits = (columns: number): boolean => {
    let all = (columns - 1) * legendPadding;
    for (let column = 0; column < columns; column++) {
      const entries = names.filter((_, index) => index % columns === column);
      const widest = Math.max(0, ...entries.map((name) => legendFontSize * emsOf(name)));
      all += legendSymbolWidth + widest;
    }
    return all <= width;
  };
  return [4, 3, 2].find(fits) ?? 1;
}

/** What each colour stands for, above the plot. @param scale names the colours */
export function legend(scale: string, columns: number): NonNullable<Spec['legends']>[number] {
  return {
    fill: scale,
    symbolType: 'square',
    symbolSize: 140,
    orient: 'top',
    direction: 'horizontal',
    columns,
    columnPadding: legendPadding,
    offset: 14,
  };
}

/** A value of a datum, as marks take it. */
export function field(name: string, scale?: string): { field: string; scale?: string } {
  return scale === undefined ? { field: name } : { field: name, scale };
}

/** Text with a seam in the colour of the paper, so that the grid does not run through it. */
export function textOf(from: string, encode: Record<string, unknown>): Mark[] {
  const seam = { stroke: { value: paper }, strokeWidth: { value: 3 }, fill: { value: paper } };
  return [seam, {}].map((own): Mark => ({
    type: 'text',
    from: { data: from },
    encode: { enter: { ...encode, ...own } },
  }));
}
