import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findProgram, needs } from '../../../integration/find-program.ts';
import { goldenFolder } from '../../golden.ts';
import { root } from '../../server.ts';
import { Cluster, clusterTests, type TlsPaths } from '../harness/cluster.ts';

const grpcurlTests = needs('grpcurl', '"go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3"');
const probeTests = needs('grpc-health-probe', '"go install github.com/grpc-ecosystem/grpc-health-probe@v0.4.63"');
const keys = { client: 'client-key', admin: 'open-sesame' };
const bearer = (key: string): readonly string[] => ['-H', `authorization: Bearer ${key}`];

interface Type {
  readonly name: string;
  readonly nestedType?: readonly Type[];
  readonly enumType?: readonly Type[];
}
interface File {
  readonly package: string;
  readonly messageType?: readonly Type[];
  readonly enumType?: readonly Type[];
  readonly service?: readonly (Type & { readonly method: readonly Type[] })[];
}

let folder = '';
/** All .proto files, as buf reads them. */
let protoset = '';
let symbols: readonly string[] = [];
let tls: TlsPaths;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'conclave-grpcurl-'));
  protoset = join(folder, 'protoset');
  const buf = (...output: readonly string[]): string =>
    execFileSync('npx', ['buf', 'build', 'proto', ...output], { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 24 });
  buf('--as-file-descriptor-set', '-o', protoset);
  const { file } = JSON.parse(buf('-o', '-#format=json')) as { file: File[] };
  symbols = file.flatMap(({ package: scope, messageType = [], enumType = [], service = [] }) => [
    ...[...messageType, ...enumType].flatMap((type) => namesOf(scope, type)),
    ...service.flatMap(({ name, method }) => [
      `${scope}.${name}`,
      ...method.map((each) => `${scope}.${name}.${each.name}`),
    ]),
  ]);
  tls = { certificate: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
  const made = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-keyout', tls.key];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost'];
  execFileSync('openssl', [...made, '-out', tls.certificate, ...subject], { stdio: 'ignore' });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function namesOf(scope: string, { name, nestedType = [], enumType = [] }: Type): readonly string[] {
  const full = `${scope}.${name}`;
  return [full, ...[...nestedType, ...enumType].flatMap((type) => namesOf(full, type))];
}

/** Output of a program, or its complaint where it fails. */
async function run(program: string, parameters: readonly string[]): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(findProgram(program) ?? program, parameters, {
    timeout: 60_000,
  }).catch((error: unknown) => error as { stdout: string; stderr: string });
  return stdout + stderr;
}

/** Runs grpcurl against a port. */
type Grpcurl = (...parameters: readonly string[]) => Promise<string>;

const bothPorts = [
  'grpc.health.v1.Health',
  'grpc.reflection.v1.ServerReflection',
  'grpc.reflection.v1alpha.ServerReflection',
];

describe.skipIf(clusterTests.skip || grpcurlTests.skip)(`grpcurl${clusterTests.suffix}${grpcurlTests.suffix}`, () => {
  describe.each(['plaintext', 'mutual TLS'])('over %s', (transport) => {
    let cluster: Cluster;
    let controller: Grpcurl;
    let worker: Grpcurl;
    beforeAll(async () => {
      const secure = transport === 'plaintext' ? {} : { tls };
      cluster = await Cluster.start({
        ...{ model: goldenFolder('mixtral'), workers: { w1: [] }, adminKey: keys.admin, ...secure },
        controllerFlags: ['--api-key', keys.client],
      });
      const connection =
        transport === 'plaintext'
          ? ['-plaintext']
          : ['-cacert', tls.certificate, '-cert', tls.certificate, '-key', tls.key];
      const at =
        (address: string): Grpcurl =>
        (...parameters) => {
          const command = parameters.findIndex((word) => /^(list|describe|[\w.]+\/\w+)$/.test(word));
          return run('grpcurl', [
            ...[...connection, '-max-time', '50', ...parameters.slice(0, command)],
            ...[address, ...parameters.slice(command)],
          ]);
        };
      controller = at(cluster.controllers[0]?.line.grpc ?? '');
      worker = at(cluster.worker('w1').line.address);
    });
    afterAll(() => cluster?.stop());

    it('lists the services of each port', async () => {
      for (const key of Object.values(keys)) {
        const services = ['conclave.v1.ControlService', 'conclave.v1.InferenceService', ...bothPorts];
        expect((await controller(...bearer(key), 'list')).trim().split('\n')).toEqual(services);
      }
      const own = ['conclave.v1.ShardService', 'conclave.v1.StageService', 'conclave.v1.WorkerService'];
      expect((await worker('list')).trim().split('\n')).toEqual([...own, ...bothPorts]);
      for (const key of [[], bearer('wrong')]) expect(await controller(...key, 'list')).toContain('Unauthenticated');
    });

    it('describes every service, method, message and enum as the .proto files do', async () => {
      expect(symbols.length).toBeGreaterThan(80);
      // What is described does not depend on the transport: over TLS one in ten will do.
      for (const symbol of symbols.filter((_, i) => transport === 'plaintext' || i % 10 === 0)) {
        const [expected, ofController, ofWorker] = await Promise.all([
          run('grpcurl', ['-protoset', protoset, 'describe', symbol]),
          controller(...bearer(keys.client), 'describe', symbol),
          worker('describe', symbol),
        ]);
        expect(expected).toMatch(new RegExp(`^${symbol} is (a|an|the entry type) `));
        expect([ofController, ofWorker]).toEqual([expected, expected]);
      }
    });

    it('calls every service of a controller', async () => {
      const call = async (key: string, method: string, data = '{}'): Promise<unknown> => {
        const text = await controller(...bearer(key), '-d', data, method);
        try {
          return JSON.parse(text);
        } catch {
          throw new Error(`${method}: ${text}`);
        }
      };
      const inference = 'conclave.v1.InferenceService';
      const request = '{"text": "a", "limits": {"max_tokens": 1}, "sampling": {"logit_bias": {"5": 100}, "seed": "7"}}';
      expect(await call(keys.client, `${inference}/Generate`, request)).toMatchObject({ tokenIds: [5] });
      expect(await call(keys.client, `${inference}/Tokenize`, '{"text": "a"}')).toHaveProperty('tokenIds');
      expect(await call(keys.client, `${inference}/GetModel`)).toMatchObject({ name: 'mixtral' });
      const control = 'conclave.v1.ControlService';
      expect(await call(keys.admin, `${control}/GetStatus`)).toMatchObject({ bus: 'BUS_STATE_CONNECTED' });
      expect(await call(keys.admin, `${control}/GetPlan`)).toHaveProperty('plan');
      expect(await call(keys.admin, `${control}/GetModelSpec`)).toMatchObject({ spec: { name: 'mixtral' } });
      expect(await call(keys.admin, `${control}/Scale`, '{"replicas": 1, "all": true}')).toHaveProperty('epoch');
      expect(await call(keys.admin, `${control}/Drain`, '{"worker_id": "w1", "cancel": true}')).toHaveProperty('epoch');
      expect(await controller(...bearer(keys.client), `${control}/GetStatus`)).toContain('Unauthenticated');
      // Health needs no key, but to learn its form by reflection does.
      const healthCall = ['-d', '{"service": "conclave.v1.InferenceService"}', 'grpc.health.v1.Health/Check'];
      for (const way of [['-protoset', protoset], bearer(keys.admin)]) {
        expect(JSON.parse(await controller(...way, ...healthCall))).toEqual({ status: 'SERVING' });
      }
    });

    it('finds the services of workers closed to all but members', async () => {
      for (const method of [
        'ShardService/Forward',
        'StageService/Run',
        'StageService/StopSequence',
        'StageService/Step',
        'WorkerService/Identify',
      ]) {
        expect(await worker('-d', '{}', `conclave.v1.${method}`)).toContain('Unauthenticated');
      }
      expect(JSON.parse(await worker('-d', '{}', 'grpc.health.v1.Health/Check'))).toEqual({ status: 'SERVING' });
    });

    it.skipIf(probeTests.skip)(`and grpc-health-probe finds each service serving${probeTests.suffix}`, async () => {
      const files = [
        '-tls',
        '-tls-ca-cert',
        tls.certificate,
        '-tls-client-cert',
        tls.certificate,
        '-tls-client-key',
        tls.key,
      ];
      const probe = (address: string, service: string): Promise<string> =>
        run('grpc-health-probe', ['-addr', address, '-service', service, ...(transport === 'plaintext' ? [] : files)]);
      for (const service of ['', 'conclave.v1.InferenceService', 'conclave.v1.ControlService']) {
        expect(await probe(cluster.controllers[0]?.line.grpc ?? '', service)).toContain('status: SERVING');
      }
      for (const service of ['', 'conclave.v1.ShardService', 'conclave.v1.StageService']) {
        expect(await probe(cluster.worker('w1').line.address, service)).toContain('status: SERVING');
      }
    });
  });
});
