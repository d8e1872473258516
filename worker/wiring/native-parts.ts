import type { ExpertBank, Isa, Native, Runtime, WeightStore } from '../../native/native.ts';
import type { KnownModel } from '../agent/served-model.ts';
import type { Closers } from './closers.ts';

export interface NativeOptions {
  readonly native: Native;
  /** Checkpoint folder of the served model. */
  readonly directory: string;
  readonly threads: number;
  readonly isa: Isa | null;
  /** The id of a GPU. Default "cpu". */
  readonly device?: string;
}

/** What a worker has of the native engine before any plan. */
export interface NativeParts {
  readonly native: Native;
  readonly runtime: Runtime;
  readonly store: WeightStore;
  /** Slots that plans want here. */
  readonly bank: ExpertBank;
  /** Slots that are loaded because no replica answers. */
  readonly coldBank: ExpertBank;
}

/** Opens the checkpoint. Rejects with a native error when it does not fit the served model. */
export async function openNativeParts(
  { native, directory, threads, isa, device = 'cpu' }: NativeOptions,
  { spec, weights }: KnownModel,
  closers: Closers,
): Promise<NativeParts> {
  const runtime = native.createRuntime({ threads, isa, device });
  closers.add(() => runtime.close());
  const store = await native.openWeights(runtime, { directory, spec, weights });
  closers.add(() => store.close());
  const [bank, coldBank] = [native.createExpertBank(runtime, store), native.createExpertBank(runtime, store)];
  closers.add(() => bank.close());
  closers.add(() => coldBank.close());
  return { native, runtime, store, bank, coldBank };
}
