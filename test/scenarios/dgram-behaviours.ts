// The behaviour of datagram sockets, as stories: the same for node:dgram and for this package, with and
// without the addon.
import dgram from 'node:dgram';
import { createUdpSocket } from '../../lib/index';
import { sendArguments } from './dgram-behaviours-arguments';
import { atOnce } from './dgram-behaviours-at-once';
import { binding } from './dgram-behaviours-bind';
import { closingScenarios } from './dgram-behaviours-close';
import { connected } from './dgram-behaviours-connect';
import { creating } from './dgram-behaviours-create';
import {
  type DgramFactory,
  DgramKit,
  type DgramScenario,
  type Family,
  type Flavour,
} from './dgram-behaviours-kit';
import { life } from './dgram-behaviours-life';
import { ordering } from './dgram-behaviours-order';
import { sending } from './dgram-behaviours-send';
import { settingsScenarios } from './dgram-behaviours-settings';

export const NODES_OWN: Flavour = {
  name: 'node:dgram',
  create: dgram.createSocket as DgramFactory,
};
export const OURS: Flavour = {
  name: 'createUdpSocket',
  create: createUdpSocket as unknown as DgramFactory,
};

const ALL: readonly DgramScenario[] = [
  ...creating,
  ...binding,
  ...atOnce,
  ...closingScenarios,
  ...connected,
  ...sending,
  ...sendArguments,
  ...ordering,
  ...settingsScenarios,
  ...life,
];

/** The scenarios that say something of a family under the running Node. */
export function scenariosOf(family: Family): DgramScenario[] {
  return ALL.filter(
    ({ families, present }) =>
      (families === undefined || families.includes(family.type)) && present?.(family) !== false,
  );
}

/** The story of one flavour, as JSON keeps it: undefined is told apart from absent. */
export async function story(
  scenario: DgramScenario,
  flavour: Flavour,
  family: Family,
): Promise<unknown> {
  const kit = new DgramKit(flavour, family);
  try {
    return await scenario.run(kit);
  } finally {
    await kit.close();
  }
}
