// Runs scenarios in a process of their own: one that can be put into a namespace, or given limits. The
// parent asks for one after another over IPC; what a scenario leaves in its module stays for the next.
import path from 'node:path';

export interface RunRequest {
  readonly module: string;
  readonly scenario: string;
  readonly params: unknown;
}

export type RunAnswer = { readonly result: unknown } | { readonly failure: string };

type Scenario = (params: unknown) => unknown;

function answer(line: RunAnswer): void {
  process.send?.(line);
}

function failed(thrown: unknown): void {
  answer({ failure: thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown) });
}

async function run({ module, scenario, params }: RunRequest): Promise<unknown> {
  const scenarios = (await import(path.join(__dirname, `${module}.js`))) as Record<
    string,
    Scenario
  >;
  const body = scenarios[scenario];
  if (body === undefined) throw new Error(`no scenario ${module}/${scenario}`);
  return body(params);
}

if (require.main === module) {
  process.on('uncaughtException', failed);
  process.on('unhandledRejection', failed);
  process.on('message', (request: RunRequest) => {
    void run(request).then((result) => answer({ result: result ?? null }), failed);
  });
  // Also when the parent died without saying so.
  process.on('disconnect', () => process.exit(0));
}
