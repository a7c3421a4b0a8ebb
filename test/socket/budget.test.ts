// Memory that the kernel references is bounded, and the accounts of it are true.
import { everywhere } from '../helpers/tcp-place';

const SCENARIOS = {
  socketBudget: 'pins no more than maxPendingBytes in ten thousand sends',
  processBudget: 'pins no more than the budget of the process for fifty stalled readers',
  copiedBytes: 'does not count as copied what still waits',
} as const;

everywhere('the budget', (getPlace) => {
  for (const [name, title] of Object.entries(SCENARIOS)) {
    it(title, async () => {
      const params = { to: getPlace().to(), zeroCopy: { engine: 'msg_zerocopy' as const } };
      await getPlace().runner.run('budget', name as keyof typeof SCENARIOS, params);
    });
  }
});
