// Run by `npm version`: lib/version.ts follows package.json.
import { readFileSync, writeFileSync } from 'node:fs';

const read = (name) => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');
const { version } = JSON.parse(read('package.json'));
const text = read('lib/version.ts').replace(/'.*'/, `'${version}'`);
writeFileSync(new URL('../lib/version.ts', import.meta.url), text);
