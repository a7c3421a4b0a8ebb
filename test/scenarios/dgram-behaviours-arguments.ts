// Scenarios: arguments of send() that are refused, and how; and such as are taken by accident.
import type dgram from 'node:dgram';
import {
  codeOf,
  type DgramKit,
  type DgramScenario,
  lookupOf,
  loose,
  outcomeOf,
  someTurns,
} from './dgram-behaviours-kit';
import { between, seededRandom } from '../../scripts/random';

const NAMES = new Map<unknown, string>();

function named<T>(name: string, value: T): T {
  NAMES.set(value, name);
  return value;
}

const BUFFER = named('<8 bytes>', Buffer.from('01234567'));
const CALLBACK = named('<function>', () => undefined);

/** What could stand in each place. Objects stand in none but the first: the second is ours then. */
function pools(host: string, port: number): unknown[][] {
  named('PORT', port);
  return [
    [
      BUFFER,
      'texts',
      ['a', 'b'],
      [],
      new Uint16Array(4),
      undefined,
      null,
      5,
      true,
      {},
      [5],
      [null],
      CALLBACK,
    ],
    [undefined, null, 0, 4, 8, 9, -1, NaN, '2', 'x', port, String(port), 65_536, true, CALLBACK],
    [undefined, null, 0, 4, 8, 9, -1, 1.5, '4', 'x', host, '', CALLBACK, true],
    [undefined, null, 0, port, String(port), -1, 70_000, 'x', '', CALLBACK, false, true],
    [undefined, null, host, '', 5, true, [], CALLBACK, 0],
    [undefined, null, CALLBACK, 5, 'x'],
  ];
}

function shown(args: readonly unknown[]): string {
  return args
    .map((arg) => NAMES.get(arg) ?? (Array.isArray(arg) ? `[${arg.map(String)}]` : String(arg)))
    .join(', ');
}

const TRIALS = 1500;

/** Thousands of argument lists; each is refused with the same code, or taken. */
async function anyArguments(kit: DgramKit, which: 'free' | 'connected'): Promise<unknown> {
  const receiver = await kit.bound({ recvBufferSize: 4096 });
  const { port } = receiver.address();
  // Names among the arguments are not looked up.
  const lookup = lookupOf(kit.localhost, 'at once');
  const options = { lookup } as dgram.SocketOptions;
  const socket =
    which === 'free' ? await kit.bound(options) : await kit.connectedTo(receiver, options);
  socket.on('error', () => undefined);
  const random = seededRandom(which === 'free' ? 4711 : 4712);
  const choices = pools(kit.localhost, port);
  const story: string[] = [];
  for (let trial = 0; trial < TRIALS; trial++) {
    const count = between(random, 0, choices.length);
    const args = choices.slice(0, count).map((pool) => pool[between(random, 0, pool.length - 1)]);
    const outcome = codeOf(() => loose(socket).send(...args));
    story.push(`send(${shown(args)}): ${outcome}`.replaceAll(String(port), 'PORT'));
    if (trial % 100 === 0) await someTurns();
  }
  await someTurns();
  return story;
}

function refusals(kit: DgramKit, socket: dgram.Socket, port: number): unknown[][] {
  const host = kit.localhost;
  return [
    [],
    [undefined, port],
    [null, port, host],
    [5, port, host],
    [{}, port, host],
    [() => 1, port, host],
    [Symbol.iterator, port, host],
    [new ArrayBuffer(4), port, host],
    [[BUFFER, 5], port, host],
    [[undefined], port, host],
    [[[BUFFER]], port, host],
    [BUFFER, undefined, host],
    [BUFFER, 0, host],
    [BUFFER, -1, host],
    [BUFFER, 65_536, host],
    [BUFFER, 'x', host],
    [BUFFER, port, 5],
    [BUFFER, port, true],
    [BUFFER, port, {}],
    [BUFFER, port, []],
    [BUFFER, 9, 1, port, host],
    [BUFFER, 1, 8, port, host],
    [BUFFER, -1, 2, port, host],
    [BUFFER, 1, -2, port, host],
    [BUFFER, 0, 9, port],
    [BUFFER, 0, 8, 0, host],
    [BUFFER, 0, 8, -3, host],
    [BUFFER, 0, 8, 70_000, host],
    [5, 0, 8, port, host],
    [[BUFFER], 0, 8, port, host],
    [BUFFER, 0, 8, port, 7],
    ['€', 0, 4, port, host],
  ].map((args) => [shown(args), outcomeOf(() => loose(socket).send(...args), port)]);
}

export const sendArguments: readonly DgramScenario[] = [
  {
    title: 'refuses wrong messages, ranges, ports and addresses in Node’s words',
    run: async (kit) => {
      const receiver = await kit.bound();
      const { port } = receiver.address();
      named('PORT', port);
      const free = refusals(kit, await kit.bound(), port);
      const refusedOn = refusals(kit, await kit.connectedTo(receiver), port);
      // Also where it would have had to bind first: nothing is bound for nothing.
      const unbound = kit.create();
      const early = codeOf(() => loose(unbound).send(5, port));
      return [free, refusedOn, early, codeOf(() => unbound.address())];
    },
  },
  {
    title: 'accepts and refuses the same arguments as Node',
    run: (kit) => anyArguments(kit, 'free'),
  },
  {
    title: 'accepts and refuses the same arguments as Node on a connected socket',
    run: (kit) => anyArguments(kit, 'connected'),
  },
];
