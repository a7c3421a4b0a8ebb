// http servers upgraded by one line, on real sockets.
import { behaviours } from '../scenarios/http-behaviours';
import { bodies } from '../scenarios/http-bodies';
import { earlyAnswers } from '../scenarios/http-early-answers';
import { pieces } from '../scenarios/http-pieces';
import { ends } from '../scenarios/http-ends';

describe('an upgraded http server', () => {
  for (const { title, run } of [...bodies, ...behaviours, ...ends, ...earlyAnswers, ...pieces])
    it(title, run);
});
