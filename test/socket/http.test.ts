// http servers upgraded by one line, on real sockets.
import { behaviours } from '../helpers/http-behaviours';
import { bodies } from '../helpers/http-bodies';
import { earlyAnswers } from '../helpers/http-early-answers';
import { pieces } from '../helpers/http-pieces';
import { ends } from '../helpers/http-ends';

describe('an upgraded http server', () => {
  for (const { title, run } of [...bodies, ...behaviours, ...ends, ...earlyAnswers, ...pieces])
    it(title, run);
});
