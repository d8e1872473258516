import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { findProgram } from '../integration/find-program.ts';
import { combinations, refusals } from './combinations.ts';
import { chart, helm, kubectl, kubectlWith, kubernetesTests, shell } from './harness/programs.ts';

const namespace = 'rendered';
const promtool = findProgram('promtool');
let folder = '';

const rendered = new Map<string, Promise<string>>();

/** What values make of the chart; the same are rendered once. */
function render(values: object): Promise<string> {
  const key = JSON.stringify(values);
  const path = join(folder, `values-${rendered.size}.json`);
  const known = rendered.get(key);
  if (known !== undefined) return known;
  writeFileSync(path, key);
  const made = helm('template', 'conclave', chart, '-n', namespace, '--kube-version', '1.34', '-f', path);
  rendered.set(key, made);
  return made;
}

describe.skipIf(kubernetesTests.skip)(`the chart${kubernetesTests.suffix}`, () => {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'conclave-chart-'));
    const labels = { 'pod-security.kubernetes.io/warn': 'restricted' };
    const made = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels } };
    await kubectlWith(JSON.stringify(made), 'apply', '-f', '-');
    await kubectl('apply', '--server-side', '--force-conflicts', '-f', join(chart, 'crds'));
  });
  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true });
    await kubectl('delete', 'namespace', namespace, '--wait=false');
  });

  it('passes the strict linter', async () => {
    expect(await helm('lint', '--strict', chart)).toContain('0 chart(s) failed');
  });

  it.concurrent.each(refusals)('refuses $values by name', async ({ values, names }) => {
    const refusal = await render(values).then(
      () => 'nothing',
      (error: unknown) => String(error),
    );
    for (const name of names) expect(refusal).toContain(name);
  });

  it.concurrent.each(Object.keys(combinations))('with values for %s, is what the API server takes', async (name) => {
    const manifests = await render(combinations[name] ?? {});
    // Hooks are among them. Warnings of Pod Security Admission would be written to stderr, which fails the command. What is of
    // the whole cluster may be a release's that runs.
    const taken = await kubectlWith(
      manifests,
      ...['apply', '--server-side', '--dry-run=server', '--force-conflicts'],
      ...['--validate=strict', '--warnings-as-errors', '-f', '-'],
    );
    expect(taken.split('\n').length).toBeGreaterThan(8);
  });

  it.skipIf(promtool === null)(
    `has alerts that Prometheus takes${promtool === null ? ' (skipped: promtool is missing)' : ''}`,
    async () => {
      const monitoring = { prometheusRule: { enabled: true } };
      const documents = parseAllDocuments(await render({ monitoring })).map((document) => document.toJS());
      const rules = documents.find(({ kind }) => kind === 'PrometheusRule');
      const path = join(folder, 'rules.yaml');
      writeFileSync(path, JSON.stringify(rules.spec));
      expect(await shell(`'${promtool}' check rules '${path}'`)).toMatch(/SUCCESS: \d+ rules found/);
    },
  );

  it('leaves a model as it is where "kubectl apply" runs the hook that goes before "helm uninstall"', async () => {
    const image = { repository: 'localhost/conclave', tag: 'test' };
    const documents = parseAllDocuments(await render({ image })).map((document) => document.toJS());
    const hook = documents.filter(
      (object) => object?.metadata.name === 'conclave-release' || object?.kind === 'MoEModel',
    );
    expect(hook.map(({ kind }) => String(kind)).toSorted((a, b) => (a < b ? -1 : 1))).toEqual([
      'Job',
      'MoEModel',
      'Role',
      'RoleBinding',
      'ServiceAccount',
    ]);
    await kubectlWith(hook.map((object) => JSON.stringify(object)).join('\n---\n'), 'apply', '-f', '-');
    await kubectl('-n', namespace, 'wait', '--for=condition=Complete', 'job/conclave-release', '--timeout=5m');
    expect(await kubectl('-n', namespace, 'logs', 'job/conclave-release')).toContain('MoEModel conclave stays');
    expect(await kubectl('-n', namespace, 'get', 'moe', '-o', 'name')).toContain('moemodel.conclave.dev/conclave');
  });

  it('explains every value, and the schema knows every one', () => {
    const text = readFileSync(join(chart, 'values.yaml'), 'utf8');
    const schema = JSON.parse(readFileSync(join(chart, 'values.schema.json'), 'utf8'));
    expect(Object.keys(parse(text)).toSorted()).toEqual(Object.keys(schema.properties).toSorted());
  });

  it('asks for nothing privileged, and for no rights beyond its namespace but on its definitions and its APIService', async () => {
    for (const values of Object.values(combinations)) {
      const documents = parseAllDocuments(await render(values)).map((document) => document.toJS());
      const clusterWide = documents.filter((object) => object?.kind.startsWith('ClusterRole'));
      expect(clusterWide.every(({ metadata }) => /-(crds|external-metrics)$/.test(metadata.name))).toBe(true);
      const text = JSON.stringify(documents);
      for (const forbidden of ['hostPath', 'hostNetwork', 'privileged', 'hostPort', 'hostPID']) {
        expect(text).not.toContain(`"${forbidden}":`);
      }
    }
  });
});
