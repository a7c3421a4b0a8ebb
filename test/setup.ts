// Before every test file. Thresholds stay where they start: what a test says of large writes must not
// depend on what earlier ones have shown of this machine. Tests of the tuner say otherwise.
process.env['MSG_ZEROCOPY_THRESHOLD'] ??= 'static';
