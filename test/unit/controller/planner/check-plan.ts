import { expect } from 'vitest';
import type { PlanInput } from '../../../../controller/planner/input/input.ts';
import { modelFootprint } from '../../../../controller/planner/input/memory.ts';
import type { PlacementPlan } from '../../../../proto/messages.ts';
import { partOf } from '../../../../proto/model/share.ts';

/** Asserts what holds for every plan, counting bytes by itself: from the plan and the model's footprint alone. */
export function checkPlan(plan: PlacementPlan, input: PlanInput): void {
  const model = modelFootprint(input.spec, input.weights);
  const byId = new Map(input.workers.map((worker) => [worker.id, worker]));
  const weights = new Map<string, number>();
  const cache = new Map<string, number>();
  const grow = (map: Map<string, number>, id: string, bytes: number) => map.set(id, (map.get(id) ?? 0) + bytes);
  const idOf = (index: number) => plan.workers[index]!.id;

  expect(plan.pipelines.length).toBe(input.constraints.layout.pipelines);
  const ranked = plan.pipelines.flatMap((pipeline) =>
    pipeline.stages.flatMap((stage) => stage.ranks.map((r) => r.worker)),
  );
  expect(new Set(ranked).size, 'a worker holds at most one rank').toBe(ranked.length);
  for (const pipeline of plan.pipelines) {
    let next = 0;
    for (const stage of pipeline.stages) {
      expect(stage.firstLayer).toBe(next);
      expect(stage.endLayer).toBeGreaterThan(stage.firstLayer);
      next = stage.endLayer;
      let part = 0;
      stage.ranks.forEach((rank, r) => {
        const share = rank.share!;
        expect(share.parts).toBe(stage.ranks.length);
        expect(share.begin).toBe(part);
        expect(share.end).toBeGreaterThan(share.begin);
        part = share.end;
        let perToken = 0;
        let perSequence = 0;
        for (let layer = stage.firstLayer; layer < stage.endLayer; layer++) {
          const { shared, residentBytes } = model.layers[layer]!;
          for (const { heads, weightBytes, commonBytes, commonKvBytesPerToken, ...cached } of shared) {
            const { kvBytesPerToken, stateBytesPerSequence } = cached;
            const held = heads === null ? 0 : partOf(heads, share);
            if (heads !== null) expect(held).toBeGreaterThan(0);
            grow(weights, idOf(rank.worker), weightBytes * (heads === null ? 1 / share.parts : held / heads));
            grow(weights, idOf(rank.worker), commonBytes);
            if (heads !== null) perToken += (kvBytesPerToken / heads) * held + commonKvBytesPerToken;
            if (heads !== null) perSequence += (stateBytesPerSequence / heads) * held;
          }
          if (r === 0) grow(weights, idOf(rank.worker), residentBytes);
        }
        const positions = pipeline.kvBlocks * plan.blockSize;
        expect(rank.cacheBytes).toBe(perToken * positions + perSequence * pipeline.stateSlots);
        grow(cache, idOf(rank.worker), rank.cacheBytes);
        if (r === 0 && stage.firstLayer === 0) grow(weights, idOf(rank.worker), model.embeddingBytes);
        if (r === 0 && stage.endLayer === model.layers.length) grow(weights, idOf(rank.worker), model.headBytes);
        expect(byId.get(idOf(rank.worker))?.roles).toContain('stage');
      });
      expect(part).toBe(stage.ranks.length);
    }
    expect(next).toBe(model.layers.length);
  }

  const moeLayers = model.layers.flatMap((layer, index) => (layer.experts === null ? [] : [index]));
  expect(plan.experts.map((placement) => placement.layer)).toEqual(moeLayers);
  for (const placement of plan.experts) {
    const { count, bytes } = model.layers[placement.layer]!.experts!;
    const seen = new Set<string>();
    const covered = new Set<number>();
    placement.expert.forEach((expert, i) => {
      const unit = expert * placement.slices + placement.slice[i]!;
      const key = `${unit}@${placement.worker[i]}`;
      expect(seen.has(key), `layer ${placement.layer} unit ${unit} twice on one worker`).toBe(false);
      seen.add(key);
      covered.add(unit);
      grow(weights, idOf(placement.worker[i]!), Math.ceil(bytes / placement.slices));
    });
    expect(covered.size, 'every expert slice has a replica').toBe(count * placement.slices);
  }

  for (const worker of plan.workers) {
    const announced = byId.get(worker.id);
    expect(announced, `${worker.id} is a worker`).toBeDefined();
    expect(input.constraints.draining).not.toContain(worker.id);
    // Ceilings over a stage's layers round up once per rank: never more than a byte apart from the exact sum.
    expect(Math.abs(worker.weightBytes - (weights.get(worker.id) ?? 0))).toBeLessThanOrEqual(1);
    const total = (weights.get(worker.id) ?? 0) + (cache.get(worker.id) ?? 0);
    expect(total).toBeLessThanOrEqual(announced!.memoryBytes);
  }
}

/** Slots of a plan by worker id. */
export function slotsByWorker(plan: PlacementPlan): Map<string, number> {
  const slots = new Map<string, number>();
  for (const placement of plan.experts) {
    for (const worker of placement.worker) {
      const { id } = plan.workers[worker]!;
      slots.set(id, (slots.get(id) ?? 0) + 1);
    }
  }
  return slots;
}
