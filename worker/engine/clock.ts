export { type Clock, systemClock } from '../../proto/clock.ts';
