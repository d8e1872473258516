import { MemoryBus } from '../../../../platform/bus/memory-bus.ts';
import { busContract } from '../../../integration/bus/contract.ts';
import { ManualClock } from '../../worker/engine/manual-clock.ts';

busContract('MemoryBus', () => {
  const clock = new ManualClock();
  const bus = new MemoryBus({ clock, onError: () => undefined });
  return {
    connect: async () => bus,
    pass: async (ms) => {
      clock.advance(ms);
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
});
