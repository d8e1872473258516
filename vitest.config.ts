import { defineConfig } from 'vitest/config';

/** Tests that load every core, or that say how soon something is seen. */
const alone = [
  'test/e2e/cluster/{failures/{evidence,failures},plans/{exactness,rebalance,scaling}}.test.ts',
  'test/e2e/clients/lm-eval/lm-eval.test.ts', // Its client may be installed while the others run.
];
const patient = { testTimeout: 120_000, hookTimeout: 120_000 };

// Unit tests are fast and run in parallel. Integration and end-to-end tests start processes and wait for them, so two files
// share the machine; those that need all of it come last, one at a time. Those on Kubernetes need a cluster: npm run
// test:kubernetes.
export default defineConfig({
  test: {
    reporters: ['default'],
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 30_000 } },
      {
        extends: true,
        test: {
          ...{ name: 'process', include: ['test/{integration,e2e}/**/*.test.ts'], exclude: alone, ...patient },
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          ...{ name: 'alone', include: alone, ...patient, testTimeout: 300_000 },
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: 'kubernetes',
          include: ['test/kubernetes/**/*.test.ts'],
          testTimeout: 900_000,
          hookTimeout: 900_000,
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
