// What the exporters say without the object that they report to.
import assert from 'node:assert/strict';
import { observe } from '../../lib/opentelemetry';
import { collect } from '../../lib/prometheus';

describe('the exporters', () => {
  for (const wrong of [undefined, null, {}, 5, 'register']) {
    it(`name what is missing, given ${String(wrong)}`, () => {
      const code = 'ERR_INVALID_ARG_TYPE';
      assert.throws(() => collect(wrong as never), { code, message: /Registry of prom-client/ });
      assert.throws(() => observe(wrong as never), { code, message: /metrics\.getMeter\(\)/ });
    });
  }
});
