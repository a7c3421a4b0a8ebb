// Takes namespaces down, whatever still runs in them, and sees to it on every way out of a process.
import { listNamespaces, tryCommand } from './commands';
import { isStale } from './names';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** A terminal's Ctrl-C also ends the `ip` we have just started: hence more than one attempt. */
const ATTEMPTS = 3;

const standing = new Set<() => void>();

/**
 * Removes the named namespaces with all that is in them. Those that are gone already are no error.
 * Throws: when one is still there afterwards.
 */
export function removeNamespaces(names: readonly string[]): void {
  let left = names;
  let problem: string | undefined;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const present = new Set(listNamespaces());
    left = left.filter((name) => present.has(name));
    if (left.length === 0) return;
    for (const name of left) {
      killInhabitants(name);
      problem = tryCommand(['ip', 'netns', 'del', name]).problem;
    }
  }
  if (listNamespaces().some((name) => left.includes(name))) {
    throw new Error(`namespaces left behind: ${left.join(', ')}: ${problem ?? 'unknown reason'}`);
  }
}

/** Removes every rig whose owner ended without doing so, such as by SIGKILL. */
export function removeStaleRigs(): void {
  removeNamespaces(listNamespaces().filter(isStale));
}

/**
 * Calls `teardown` when this process ends in any way it can notice: normally, by an exception, by
 * process.exit, SIGINT, SIGTERM or SIGHUP. A signal then ends the process as it would have; but
 * where the program listens for the signal itself, it decides, and its exit tears down.
 */
export function tearDownOnExit(teardown: () => void): void {
  if (standing.size === 0) {
    process.on('exit', tearDownAll);
    for (const signal of SIGNALS) process.on(signal, onSignal);
  }
  standing.add(teardown);
}

/** Undoes tearDownOnExit, once `teardown` has been done or is no longer wanted. */
export function cancelTearDownOnExit(teardown: () => void): void {
  if (!standing.delete(teardown) || standing.size > 0) return;
  process.off('exit', tearDownAll);
  for (const signal of SIGNALS) process.off(signal, onSignal);
}

function onSignal(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return;
  tearDownAll();
  process.kill(process.pid, signal);
}

// One failure must not keep the other rigs standing, nor hide why the process ends.
function tearDownAll(): void {
  for (const teardown of [...standing]) {
    try {
      teardown();
    } catch (error) {
      console.error(error);
    }
    cancelTearDownOnExit(teardown);
  }
}

// A namespace lives on, nameless, while a process is in it. Only this rig's programs can be: its
// name was generated for it.
function killInhabitants(name: string): void {
  const pids = tryCommand(['ip', 'netns', 'pids', name]).stdout.split('\n').map(Number);
  for (const pid of pids) {
    if (pid <= 1 || pid === process.pid) continue;
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // ended meanwhile
    }
  }
}
