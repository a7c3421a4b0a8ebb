// Builds a rig with a program in it, names its namespaces on standard output, and ends in the way
// it is told to. Not a test itself: rig.test.ts looks at what it leaves behind.
import { Rig } from '../../scripts/rig';

const rig = Rig.up();
// Holds our standard output open for as long as it lives, which the test can see.
rig.spawn('receiver', ['sleep', '600'], { stdio: ['ignore', 'inherit', 'inherit'] }).unref();
process.stdout.write(`${JSON.stringify([rig.sender.netns, rig.receiver.netns])}\n`, () => {
  const ending = process.argv[2];
  if (ending === 'exit') process.exit(0);
  if (ending === 'throw') throw new Error('meant to be thrown');
  if (ending === 'signal') setInterval(() => {}, 60_000);
});
