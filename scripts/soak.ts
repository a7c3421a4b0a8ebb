// The soak: everything at once, for long, with faults, and every byte compared. See docs/reliability.md.
// `npm run soak -- --minutes 30`
import { UsageError } from './command-line';
import { parse, USAGE } from './soak/arguments';
import { render } from './soak/report';
import { Soak } from './soak/run';
import { Unavailable } from './rig/availability';

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const EXIT_UNAVAILABLE = 3;

async function main(argv: readonly string[]): Promise<number> {
  const given = parse(argv);
  if (given.help) {
    console.log(USAGE);
    return 0;
  }
  // Listened to from the beginning: building the rig takes a while.
  const interrupted = new Promise<void>((resolve) => process.on('SIGINT', () => resolve()));
  console.error(`soak: ${given.minutes} min over ${given.place}, seed ${given.seed}`);
  const soak = new Soak(given);
  void interrupted.then(() => soak.stop());
  const report = await soak.run();
  console.log(given.json ? JSON.stringify(report, undefined, 2) : render(report));
  return report.failures.length === 0 ? 0 : EXIT_FAILED;
}

main(process.argv.slice(2)).then(
  (status) => (process.exitCode = status),
  (error: unknown) => {
    if (error instanceof UsageError) {
      console.error(`soak: ${error.message}; see 'npm run soak -- --help'`);
      process.exitCode = EXIT_USAGE;
    } else if (error instanceof Unavailable) {
      console.error(`soak: ${error.reason}\nremedy: ${error.remedy}`);
      process.exitCode = EXIT_UNAVAILABLE;
    } else {
      console.error(error);
      process.exitCode = EXIT_FAILED;
    }
  },
);
