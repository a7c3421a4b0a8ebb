// What happens to the network of a rig while a soak runs: it loses packets, its limits change, its
// device loses features, and a capture runs.
import type { RigCapture, RigFeature } from '../rig';
import type { Chance } from './chance';
import { FAULTS, type FaultName, type Name } from './names';
import type { Place } from '../place';
import type { Counts } from './protocol';

const OPTMEM = 'net/core/optmem_max';
const USUAL_OPTMEM = '131072';
const OPTMEMS = ['2048', '4096', '8192', '20480', USUAL_OPTMEM];
/** Of 1000 packets of up to 64 KiB. */
const MOST_LOSS = 30;
/** In the order in which they can be switched on: segmentation needs the ones before it. */
const FEATURES = ['sg', 'tx', 'gso', 'tso'] as const satisfies readonly RigFeature[];
const LEAST_CHANGE_MS = 150;
const MOST_CHANGE_MS = 2000;

export class Weather {
  readonly #place: Place;
  readonly #chance: Chance;
  readonly #faults: readonly FaultName[];
  readonly #fail: (reason: string) => void;
  readonly counts: Counts = {};
  #capture: RigCapture | undefined;
  #isOver = false;
  #changing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    place: Place,
    chance: Chance,
    names: ReadonlySet<Name>,
    fail: (reason: string) => void,
  ) {
    this.#fail = fail;
    this.#place = place;
    this.#chance = chance;
    this.#faults = place.rig === undefined ? [] : FAULTS.filter((name) => names.has(name));
  }

  begin(): void {
    if (this.#faults.length === 0 || this.#isOver) return;
    this.#timer = setTimeout(
      () => {
        this.#changing = this.#change(this.#chance.pick(this.#faults)).then(
          () => this.begin(),
          (error: Error) => this.#fail(error.message),
        );
      },
      this.#chance.size(LEAST_CHANGE_MS, MOST_CHANGE_MS),
    );
  }

  /** It is calm again, so that what is under way arrives. */
  async end(): Promise<void> {
    this.#isOver = true;
    clearTimeout(this.#timer);
    await this.#changing;
    const { rig } = this.#place;
    if (rig === undefined || this.#faults.length === 0) return;
    await this.#capture?.stop();
    rig.setLoss(0);
    this.#place.set('sender', OPTMEM, USUAL_OPTMEM);
    this.#restoreFeatures();
  }

  #add(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  async #change(fault: FaultName): Promise<void> {
    const { rig } = this.#place;
    if (rig === undefined) return;
    this.#add(`changes of ${fault}`);
    switch (fault) {
      case 'loss':
        rig.setLoss(this.#chance.odds(0.4) ? 0 : this.#chance.between(1, MOST_LOSS));
        break;
      case 'optmem':
        this.#place.set('sender', OPTMEM, this.#chance.pick(OPTMEMS));
        break;
      case 'features':
        this.#restoreFeatures();
        if (this.#chance.odds(0.5)) {
          rig.setFeature('sender', this.#chance.pick(FEATURES), 'off');
        }
        break;
      case 'capture':
        await this.#toggleCapture();
        break;
    }
  }

  #restoreFeatures(): void {
    for (const feature of FEATURES) this.#place.rig?.setFeature('sender', feature, 'on');
  }

  async #toggleCapture(): Promise<void> {
    const running = this.#capture;
    this.#capture = running === undefined ? await this.#place.rig?.capture('sender') : undefined;
    await running?.stop();
  }
}
