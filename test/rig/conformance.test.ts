// The contract of test/socket/conformance.test.ts where zero copy is real.
import { conformanceTests } from '../helpers/conformance-suite';
import { rigPlaceSuite } from '../helpers/place';

rigPlaceSuite('conformance', (getPlace) => conformanceTests(getPlace));
