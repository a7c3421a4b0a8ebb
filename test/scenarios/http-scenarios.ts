// Runs the http scenarios one after another, under whichever Node it is started with. Writes
// {scenario, failure} for each, then {version}.
import { behaviours } from './http-behaviours';
import { bodies } from './http-bodies';
import { earlyAnswers } from './http-early-answers';
import { ends } from './http-ends';
import { pieces } from './http-pieces';
import { print } from '../helpers/program-side';

export interface Outcome {
  readonly scenario?: string;
  readonly failure?: string;
  readonly version?: string;
}

async function main(): Promise<void> {
  for (const { title, run } of [...bodies, ...behaviours, ...ends, ...earlyAnswers, ...pieces]) {
    try {
      await run();
      print({ scenario: title } satisfies Outcome);
    } catch (error) {
      const failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
      print({ scenario: title, failure } satisfies Outcome);
    }
  }
  print({ version: process.version } satisfies Outcome);
}

void main();
