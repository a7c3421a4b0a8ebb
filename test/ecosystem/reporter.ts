// mocha's list of what ran, and below it a table: one row for each thing that the package was run with.
import Mocha from 'mocha';
import ListingReporter from '../reporter';

const { EVENT_TEST_PASS, EVENT_TEST_FAIL, EVENT_TEST_PENDING, EVENT_RUN_END } =
  Mocha.Runner.constants;

export = class TableReporter extends ListingReporter {
  constructor(runner: Mocha.Runner, options?: Mocha.MochaOptions) {
    super(runner, options);
    const rows: string[] = [];
    let suite = '';
    const add = (outcome: string) => (test: Mocha.Test) => {
      const title = test.parent?.fullTitle() ?? '';
      if (title !== suite) rows.push(`\n${title}`);
      suite = title;
      const seconds = test.duration === undefined ? '' : (test.duration / 1000).toFixed(1);
      rows.push(`  ${outcome}  ${seconds.padStart(6)} s  ${test.title}`);
    };
    runner.on(EVENT_TEST_PASS, add('passed '));
    runner.on(EVENT_TEST_FAIL, add('FAILED '));
    runner.on(EVENT_TEST_PENDING, add('skipped'));
    runner.once(EVENT_RUN_END, () => {
      console.log(`\nWhat ran, by Node ${process.version}:`);
      for (const row of rows) console.log(row);
    });
  }
};
