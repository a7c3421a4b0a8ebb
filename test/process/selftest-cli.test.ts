// The command line `msg-zerocopy selftest`: what it accepts, what it runs, and its exit status. Nothing is
// sent here; test/process/selftest.test.ts does that.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { VERSION } from '../../lib/version';
import { UsageError } from '../../scripts/command-line';
import { parse } from '../../scripts/selftest/arguments';
import { misfit, titleOf, type Trial, trialsOf } from '../../scripts/selftest/trial';

const CLI = path.join(__dirname, '../../scripts/cli.js');

function run(...argv: string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...argv], {
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

const words = (line: string): string[] => line.split(' ').filter((word) => word !== '');

describe('the command msg-zerocopy', () => {
  it('prints its usage and exits 2 without a command', () => {
    const { status, stdout, stderr } = run();
    assert.deepEqual({ status, stdout }, { status: 2, stdout: '' });
    assert.match(stderr, /^usage: msg-zerocopy COMMAND/);
    assert.match(stderr, /\n {2}selftest {2}/);
  });

  it('names an unknown command, and exits 2', () => {
    const { status, stderr } = run('constructor');
    assert.equal(status, 2);
    assert.match(stderr, /^msg-zerocopy: unknown command 'constructor'\nusage: /);
  });

  it('prints its usage and exits 0 with --help', () => {
    const { status, stdout, stderr } = run('--help');
    assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
    assert.match(stdout, /^usage: msg-zerocopy COMMAND/);
  });

  it('prints its version', () => {
    assert.deepEqual(run('--version'), { status: 0, stdout: `${VERSION}\n`, stderr: '' });
  });

  it('prints the usage of the self-test and exits 0 with --help', () => {
    const { status, stdout, stderr } = run('selftest', '--help');
    assert.deepEqual({ status, stderr }, { status: 0, stderr: '' });
    assert.match(stdout, /^usage: msg-zerocopy selftest \[4\|6\] \[MODE\] \[options\]/);
  });

  it('reports bad arguments of the self-test in one line, names --help, and exits 2', () => {
    const { status, stdout, stderr } = run('selftest', 'tcp', '--nonsense');
    assert.deepEqual({ status, stdout }, { status: 2, stdout: '' });
    const help = "see 'msg-zerocopy selftest --help'";
    assert.equal(stderr, `msg-zerocopy selftest: Unknown option '--nonsense'; ${help}\n`);
  });

  it('refuses message sizes that cannot be sent, and exits 2', () => {
    const { status, stderr } = run('selftest', '4', 'udp', '-s', '65436');
    assert.equal(status, 2);
    assert.match(stderr, /^msg-zerocopy selftest: -s: 65436 bytes are more than 65435/);
  });
});

describe("the self-test's arguments", () => {
  it('default to every mode, in both families, over loopback', () => {
    assert.deepEqual(parse([]), {
      help: false,
      verbose: false,
      mode: 'all',
      families: [4, 6],
      zeroCopy: false,
      mixed: false,
      place: 'loopback',
    });
  });

  it('are accepted as in the kernel’s self-test, in any order', () => {
    const expected = {
      help: false,
      verbose: true,
      mode: 'udp',
      families: [6],
      zeroCopy: true,
      mixed: true,
      cork: 4,
      bytes: 1400,
      seconds: 0.5,
      port: 9000,
      place: 'veth',
    };
    assert.deepEqual(parse(words('6 udp -z -m -c 4 -s 1400 -t 0.5 -p 9000 -i veth -v')), expected);
    assert.deepEqual(parse(words('-vzm -6 -c4 -s1400 -t .5 -p9000 -i veth udp')), expected);
  });

  it('imply the family by the address', () => {
    assert.deepEqual(parse(words('raw -D fd00::1')).families, [6]);
    assert.deepEqual(parse(words('udp -D 192.0.2.1')).families, [4]);
    assert.deepEqual(parse(words('udp -r --bind ::')).families, [6]);
  });

  it('bind to a loopback address unless they name another', () => {
    assert.equal(parse(words('tcp -r')).bind, '127.0.0.1');
    assert.equal(parse(words('6 tcp -r')).bind, '::1');
    assert.equal(parse(words('tcp -r --bind 0.0.0.0')).bind, '0.0.0.0');
  });

  const refused: Readonly<Record<string, RegExp>> = {
    '4 6 tcp': /give 4 or 6/,
    '-4 -6 tcp': /give 4 or 6/,
    'tcp udp': /one mode at a time/,
    sctp: /the mode must be one of tcp, udp, raw, raw_hdrincl, packet, packet_dgram, all, not 'sctp'/,
    '-i ethernet': /-i must be one of loopback, veth, rig/,
    'raw -c 4': /only tcp and udp can be corked/,
    '-c 4': /only tcp and udp can be corked/,
    'udp -c 1': /-c must be a whole number, 2 to 64/,
    'udp -c 65': /-c must be a whole number, 2 to 64/,
    'udp -c 17 -s 16': /16 bytes cannot be written in 17 pieces/,
    'udp -m -c 4': /-m needs -z and -c/,
    'udp -m -z': /-m needs -z and -c/,
    'udp -s 15': /-s must be a whole number, 16 to/,
    'udp -s 1e3': /-s must be a whole number/,
    'udp -t 0': /-t must be a number of seconds/,
    'udp -t -1': /-t/,
    'udp -t NaN': /-t must be a number of seconds/,
    'udp -p 65536': /-p must be a whole number, 0 to 65535/,
    'udp -D example.org': /'example.org' is not an IP address/,
    '4 udp -D ::1': /'::1' is not an IPv4 address/,
    'udp -D ::1 -p 0': /-p must be 1 or more/,
    'udp -D ::1 -r': /-D sends and -r receives/,
    '-D ::1': /-D and -r need one mode/,
    '-r': /-D and -r need one mode/,
    'udp -r -i veth': /-i cannot be used with/,
    'udp --bind ::1': /--bind needs -r/,
    'udp -x': /Unknown option '-x'/,
    'udp -s': /argument missing/,
  };
  for (const [line, why] of Object.entries(refused)) {
    it(`are refused with the reason: '${line}'`, () => {
      assert.throws(
        () => parse(words(line)),
        (error) => error instanceof UsageError && why.test(error.message),
      );
    });
  }
});

describe("the self-test's runs", () => {
  const titles = (line: string): string[] => trialsOf(parse(words(line)), 65_536).map(titleOf);

  it('are one for each family', () => {
    assert.deepEqual(titles('udp -z -c 3 -m'), ['ipv4 udp -z -c 3 -m', 'ipv6 udp -z -c 3 -m']);
    assert.deepEqual(titles('4 packet'), ['ipv4 packet']);
  });

  it('cover, with all, every mode copied and zero-copy, tcp and udp also corked and mixed', () => {
    const corkable = ['', ' -z', ' -c 4', ' -z -c 4', ' -z -c 4 -m'];
    const expected = [
      ...corkable.map((way) => `ipv6 tcp${way}`),
      ...corkable.map((way) => `ipv6 udp${way}`),
      ...['raw', 'raw_hdrincl', 'packet', 'packet_dgram'].flatMap((mode) => [
        `ipv6 ${mode}`,
        `ipv6 ${mode} -z`,
      ]),
    ];
    assert.deepEqual(titles('6 all'), expected);
    assert.equal(titles('').length, 2 * expected.length);
    assert.ok(titles('-z').every((title) => title.includes('-z')));
  });

  it('send what fits into one packet by default', () => {
    const sizes = (line: string, mtu: number): number[] =>
      trialsOf(parse(words(line)), mtu).map(({ bytes }) => bytes);
    assert.deepEqual(sizes('4 udp', 1500), [1452]);
    assert.deepEqual(sizes('4 packet', 65_536), [65_435]);
    assert.deepEqual(sizes('4 tcp', 1500), [65_435]);
    assert.deepEqual(sizes('4 udp -s 9000', 1500), [9000]);
  });

  it('skip messages that would not be fragmented', () => {
    const why = (line: string): string | undefined =>
      misfit(trialsOf(parse(words(line)), 1500)[0] as Trial, 1500);
    assert.equal(why('4 packet -s 1472'), undefined);
    assert.match(why('4 packet -s 1473') ?? '', /1473 bytes and 28 of headers/);
    assert.match(why('6 raw_hdrincl -s 1461') ?? '', /1461 bytes and 40 of headers/);
    assert.equal(why('4 raw -s 9000'), undefined, 'the kernel fragments its own packets');
    assert.equal(why('4 udp -s 9000'), undefined);
  });
});
