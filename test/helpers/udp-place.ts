// Where the datagrams of a test travel: over loopback, where the kernel copies after all, and over the
// rig, where it does not.
import type { Place } from '../../scripts/place';
import type { Rig } from '../../scripts/rig';
import type { Module, Params, Result, Scenario } from './runner';
import { RunnerPlace } from './runner-place';
import { suitesOf } from './suites';
import type { ReceiverAddress, UdpFamily } from './udp-receiver';

/** Longer than any scenario takes that works, and shorter than the test runner waits. */
const SCENARIO_DEADLINE_MS = 30_000;

/** What every scenario is told. */
export interface UdpParams {
  readonly at: ReceiverAddress;
  readonly type: UdpFamily;
  readonly place: 'loopback' | 'rig';
  /** The sender's device and addresses on it. */
  readonly device: string;
  readonly address4: string;
  readonly address6: string;
}

export const UDP_FAMILIES: readonly UdpFamily[] = ['udp4', 'udp6'];

export class UdpPlace extends RunnerPlace {
  #control = 0;

  static async open(place: Place): Promise<UdpPlace> {
    // Datagrams that lost a fragment wait for it, and take the room of those that lost none.
    for (const name of ['ipv4/ipfrag', 'ipv6/ip6frag']) {
      place.set('receiver', `net/${name}_high_thresh`, '67108864');
      place.set('receiver', `net/${name}_time`, '1');
    }
    const udp = new UdpPlace(place, { deadlineMs: SCENARIO_DEADLINE_MS });
    udp.#control = await udp.startReceiver('udp-receiver-program');
    return udp;
  }

  /** Parameters of a scenario. */
  params(type: UdpFamily): UdpParams {
    const { place } = this;
    const [own, far] = [place.addresses('sender'), place.addresses('receiver')];
    return {
      at: { address4: far[4], address6: far[6], control: this.#control },
      type,
      place: this.rig === undefined ? 'loopback' : 'rig',
      device: place.device,
      address4: own[4],
      address6: own[6],
    };
  }

  /** Runs one scenario to its end in the program that the tests of the suite share. */
  async run<M extends Module, S extends Scenario<M>>(
    module: M,
    scenario: S,
    ...params: Params<M, S>
  ): Promise<Result<M, S>> {
    const { runner } = this;
    try {
      return await runner.run(module, scenario, ...params);
    } catch (error) {
      // What a scenario left behind that failed must not fail the next one.
      await runner.stop();
      throw new Error(`${(error as Error).message}\n${this.#dropped()}`, { cause: error });
    }
  }

  /** What the receiver's kernel says of datagrams that it did not deliver. */
  #dropped(): string {
    const names = ['snmp', 'snmp6', 'sockstat', 'sockstat6', 'dev'];
    const files = names.map((file) => `/proc/net/${file}`);
    const lines = this.place.run('receiver', ['cat', ...files]).split('\n');
    return lines.filter((line) => /Reasm|Err|^(Ip|Udp): |FRAG|drop|veth|zcr/.test(line)).join('\n');
  }

  /** The same in a program of its own, which begins with `prefix`, such as prlimit. */
  async runAlone<M extends Module, S extends Scenario<M>>(
    prefix: readonly string[],
    module: M,
    scenario: S,
    ...params: Params<M, S>
  ): Promise<Result<M, S>> {
    const runner = this.startRunner(prefix);
    try {
      return await runner.run(module, scenario, ...params);
    } finally {
      await runner.stop();
    }
  }
}

/** A place with a rig. */
export type UdpRigPlace = UdpPlace & { readonly rig: Rig };

export const {
  loopback: udpLoopbackSuite,
  rig: udpRigSuite,
  everywhere: udpEverywhere,
} = suitesOf((place) => UdpPlace.open(place));

/** One test for each scenario of a module and each family of addresses. */
export function udpScenarios<M extends Module>(
  getPlace: () => UdpPlace,
  module: M,
  titles: Partial<Record<Scenario<M>, string>>,
): void {
  for (const type of UDP_FAMILIES) {
    describe(type, () => {
      for (const [name, title] of Object.entries(titles)) {
        it(title as string, async () => {
          const scenario = name as Scenario<M>;
          const params = [getPlace().params(type)] as unknown as Params<M, typeof scenario>;
          await getPlace().run(module, scenario, ...params);
        });
      }
    });
  }
}
