// One timeline as an SVG drawing: CPU per GB, the thresholds as steps, the state as a band.
import type { Axis, GroupMark, Mark, Spec } from 'vega' with { 'resolution-mode': 'import' };
import { quantile } from 'simple-statistics';
import { colours, draw, faint, field, ink, legend, textOf, width } from './drawing';
import type { Facts } from './host';
import { formatSize } from './options';
import { costsOf, stretchesOf, type Stretch, type Timeline } from './timeline';

const costHeight = 190;
const stepsHeight = 170;
const bandHeight = 22;

/** Sizes of the thresholds' axis, by powers of two; above it: never. */
const smallest = 13;
const largest = 21;
const powers = Array.from({ length: largest - smallest + 1 }, (_, index) => smallest + index);
const never = largest + 1;

const [streamWords, responseWords] = ['threshold of streams', 'threshold of responses'];
const costWords = 'CPU of the process';
const stateColours: Readonly<Record<string, string | undefined>> = {
  active: colours[3],
  probing: colours[5],
  paused: colours[7],
};
/** Of a letter, to know whether a label has room. */
const letterWidth = 7;

export function timelineChart(timeline: Timeline, facts: Facts): Promise<string> {
  const { label, contestant, moments, marks } = timeline;
  const seconds = (moments.at(-1)?.ms ?? 1000) / 1000;
  const stretches = stretchesOf(moments);
  const said = stretches.some(({ moment }) => moment.state !== undefined);
  const panels = [
    costPanel(timeline),
    ...(said ? [stepsPanel(stretches), stateBand(stretches, seconds)] : []),
  ];
  const subject = label.charAt(0).toUpperCase() + label.slice(1);
  const title = `${subject}: state, thresholds and cost over time, ${contestant}`;
  return draw(title, [`Linux ${facts['kernel']}, Node ${facts['node']}`], {
    width,
    layout: { columns: 1, padding: { row: 30 } },
    data: [{ name: 'done', values: marks }],
    scales: [
      { name: 'x', type: 'linear', domain: [0, seconds], range: [0, width] },
      {
        name: 'colour',
        type: 'ordinal',
        domain: [costWords, ...(said ? [streamWords, responseWords] : [])],
        range: [...colours],
      },
    ],
    legends: [legend('colour', 3)],
    marks: panels,
  } as Spec);
}

function panel(height: number, parts: Partial<GroupMark>, seconds: Partial<Axis> = {}): GroupMark {
  const { axes = [], marks = [], ...others } = parts;
  return {
    type: 'group',
    encode: { enter: { width: { value: width }, height: { value: height } } },
    axes: [...axes, { orient: 'bottom', scale: 'x', ...seconds }],
    marks: [...marks, ...doneMarks(height)],
    ...others,
  };
}

/** What was done to the socket meanwhile. */
function doneMarks(height: number): Mark[] {
  const rule: Mark = {
    type: 'rule',
    from: { data: 'done' },
    encode: {
      enter: {
        x: field('seconds', 'x'),
        y: { value: 0 },
        y2: { value: height },
        stroke: { value: ink },
        strokeDash: { value: [4, 3] },
      },
    },
  };
  if (height !== costHeight) return [rule];
  const label = {
    x: { scale: 'x', field: 'seconds', offset: 5 },
    y: { value: -5 }, // above the plot, where no line crosses it
    text: field('label'),
    fill: { value: faint },
    fontSize: { value: 12 },
  };
  return [rule, ...textOf('done', label)];
}

function line(data: string, encode: object, colour: string, step: boolean): Mark {
  const enter = {
    ...encode,
    strokeWidth: { value: 2 },
    stroke: { scale: 'colour', value: colour },
  };
  const interpolate = step ? { interpolate: { value: 'step-after' } } : {};
  return { type: 'line', from: { data }, encode: { enter: { ...enter, ...interpolate } } } as Mark;
}

function costPanel({ moments }: Timeline): GroupMark {
  const costs = costsOf(moments);
  // A single stretch in which hardly anything was sent must not flatten all others.
  const all = costs.map(([, cost]) => cost);
  const most = (all.length > 0 ? quantile(all, 0.98) : 1) * 1.15;
  const values = costs.map(([at, cost]) => ({ at, cost: Math.min(cost, most) }));
  const encode = { x: field('at', 'x'), y: field('cost', 'y') };
  return panel(costHeight, {
    data: [{ name: 'costs', values }],
    scales: [{ name: 'y', type: 'linear', domain: [0, most], range: [costHeight, 0] }],
    axes: [
      { orient: 'left', scale: 'y', grid: true, tickCount: 5, title: 'CPU of the process, s/GB' },
    ],
    marks: [line('costs', encode, costWords, false)],
  });
}

function stepsPanel(stretches: readonly Stretch[]): GroupMark {
  const power = (bytes: number | undefined): number =>
    bytes === undefined ? never : Math.log2(bytes);
  const last = stretches.at(-1);
  const values = [...stretches, ...(last ? [{ ...last, from: last.to }] : [])].map(
    ({ from, moment }) => ({
      at: from,
      stream: power(moment.streamThreshold),
      response: power(moment.responseThreshold),
    }),
  );
  // The second one is moved a little, so that both can be seen where they agree.
  const of = (name: string, offset: number) => ({
    x: field('at', 'x'),
    y: { scale: 'y', field: name, offset },
  });
  const labels = powers.map((exponent) => `${exponent}: '${formatSize(2 ** exponent)}'`);
  const text = `{${labels.join(', ')}, ${never}: 'never'}[datum.value]`;
  return panel(stepsHeight, {
    data: [{ name: 'steps', values }],
    scales: [
      {
        name: 'y',
        type: 'linear',
        domain: [smallest, never],
        zero: false,
        range: [stepsHeight, 0],
      },
    ],
    axes: [
      {
        orient: 'left',
        scale: 'y',
        grid: true,
        values: [...powers.filter((_, index) => index % 2 === 0), never],
        title: 'zero-copy from',
        encode: { labels: { update: { text: { signal: text } } } },
      },
    ],
    marks: [
      line('steps', of('stream', 0), streamWords, true),
      line('steps', of('response', 3), responseWords, true),
    ],
  });
}

function stateBand(stretches: readonly Stretch[], seconds: number): GroupMark {
  const values = stretches.map(({ from, to, moment }) => {
    const { state = '', reason } = moment;
    const name = reason === undefined ? state : `${state}: ${reason}`;
    const room = ((to - from) / seconds) * width;
    const fill = stateColours[state] ?? colours[0];
    return { from, to, fill, name: room > name.length * letterWidth ? name : '' };
  });
  const across = { x: field('from', 'x'), x2: field('to', 'x') };
  const upright = { y: { value: 0 }, y2: { value: bandHeight } };
  const label = {
    x: { scale: 'x', field: 'from', offset: 4 },
    y: { value: bandHeight / 2 },
    baseline: { value: 'middle' },
    text: field('name'),
    fontSize: { value: 12 },
  };
  const enter = { ...across, ...upright, fill: field('fill'), fillOpacity: { value: 0.55 } };
  return panel(
    bandHeight,
    {
      title: { text: 'state of the socket', anchor: 'start', fontSize: 12, fontWeight: 'normal' },
      data: [{ name: 'states', values }],
      marks: [
        { type: 'rect', from: { data: 'states' }, encode: { enter } },
        { type: 'text', from: { data: 'states' }, encode: { enter: label } },
      ] as Mark[],
    },
    { title: 'seconds' },
  );
}
