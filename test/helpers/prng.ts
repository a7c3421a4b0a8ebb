export { between, seededRandom } from '../../scripts/prng';
