import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { credentials, loadPackageDefinition, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { loadSync, type MessageTypeDefinition } from '@grpc/proto-loader';
import { afterEach, describe, expect, it } from 'vitest';
import { createApiKeys } from '../../../platform/rpc/api-keys.ts';
import type { ServerReflectionRequest } from '../../../proto/generated/grpc/reflection/v1/ServerReflectionRequest.ts';
import type { ServerReflectionResponse__Output as Response } from '../../../proto/generated/grpc/reflection/v1/ServerReflectionResponse.ts';
import type { ProtoGrpcType } from '../../../proto/generated/reflection.ts';
import { packageRoot } from '../../../proto/package-root.ts';
import { type Harness, startHarness } from './gateway-harness.ts';

const loading = { longs: Number, enums: String, defaults: true, oneofs: true };
const versions = ['v1', 'v1alpha'] as const;
type Version = (typeof versions)[number];

let harness: Harness;
afterEach(() => harness.close());

/** Asks one question after the other on one stream. */
function ask(
  version: Version,
  questions: readonly ServerReflectionRequest[],
  metadata = new Metadata(),
): Promise<readonly Response[]> {
  const file = `grpc/reflection/${version}/reflection.proto`;
  const loaded = loadPackageDefinition(loadSync(file, { ...loading, includeDirs: [join(packageRoot, 'proto')] }));
  const { reflection } = (loaded as unknown as { grpc: { reflection: Record<Version, Types> } }).grpc;
  const client = new reflection[version].ServerReflection(harness.grpcAddress, credentials.createInsecure());
  const stream = client.ServerReflectionInfo(metadata);
  const answers: Response[] = [];
  return new Promise<readonly Response[]>((resolve, reject) => {
    stream.on('data', (response: Response) => answers.push(response));
    stream.on('end', () => resolve(answers));
    stream.on('error', reject);
    for (const question of questions) stream.write(question);
    stream.end();
  }).finally(() => client.close());
}
type Types = ProtoGrpcType['grpc']['reflection']['v1'];

interface File {
  readonly name: string;
  readonly dependency: readonly string[];
  readonly messageType: readonly { readonly name: string }[];
}

const descriptors = loadSync('google/protobuf/descriptor.proto', loading);
const fileType = descriptors['google.protobuf.FileDescriptorProto'] as MessageTypeDefinition<File, File>;
const setType = descriptors['google.protobuf.FileDescriptorSet'] as MessageTypeDefinition<object, { file: File[] }>;

describe.each(versions)('reflection %s', (version) => {
  it('lists what the port serves, itself and the health service included', async () => {
    harness = await startHarness();
    const [answer] = await ask(version, [{ listServices: '' }]);
    expect(answer?.listServicesResponse?.service.map(({ name }) => name)).toEqual([
      'grpc.health.v1.Health',
      'conclave.v1.InferenceService',
      'grpc.reflection.v1.ServerReflection',
      'grpc.reflection.v1alpha.ServerReflection',
    ]);
  });

  it('describes every file field for field as buf does, with all that it imports', async () => {
    harness = await startHarness();
    const built = execFileSync('npx', ['buf', 'build', 'proto', '--as-file-descriptor-set', '-o', '-'], {
      cwd: packageRoot,
      maxBuffer: 2 ** 24,
    });
    const { file: expected } = setType.deserialize(built);
    const byName = new Map(expected.map((file) => [file.name, file]));
    const answers = await ask(
      version,
      expected.map(({ name }) => ({ fileByFilename: name })),
    );
    for (const [index, { fileDescriptorResponse }] of answers.entries()) {
      const files = fileDescriptorResponse?.fileDescriptorProto.map((bytes) =>
        fileType.deserialize(Buffer.from(bytes)),
      );
      expect(files?.[0]?.name).toBe(expected[index]?.name);
      for (const file of files ?? []) {
        expect(file).toEqual(byName.get(file.name));
        expect(files?.map(({ name }) => name)).toEqual(expect.arrayContaining([...file.dependency]));
      }
    }
    expect(answers).toHaveLength(expected.length);
  });

  it.each([
    ['conclave.v1.InferenceService', 'conclave/v1/inference.proto'],
    ['conclave.v1.InferenceService.Generate', 'conclave/v1/inference.proto'],
    ['conclave.v1.SamplingParams.LogitBiasEntry', 'conclave/v1/inference.proto'],
    ['conclave.v1.SamplingParams.top_k', 'conclave/v1/inference.proto'],
    ['conclave.v1.GenerateRequest.prompt', 'conclave/v1/inference.proto'],
    ['conclave.v1.DATA_TYPE_BF16', 'conclave/v1/tensor.proto'],
    ['grpc.health.v1.HealthCheckResponse.ServingStatus', 'grpc/health/v1/health.proto'],
  ])('finds the file of %s', async (symbol, name) => {
    harness = await startHarness();
    const [answer] = await ask(version, [{ fileContainingSymbol: symbol }]);
    const [bytes] = answer?.fileDescriptorResponse?.fileDescriptorProto ?? [];
    expect(fileType.deserialize(Buffer.from(bytes ?? [])).name).toBe(name);
  });

  it('says what there is not, and goes on', async () => {
    harness = await startHarness();
    const answers = await ask(version, [
      { fileContainingSymbol: 'conclave.v1.Nothing' },
      { fileByFilename: '../package.json' },
      { fileContainingExtension: { containingType: 'conclave.v1.GenerateRequest', extensionNumber: 1 } },
      { allExtensionNumbersOfType: 'conclave.v1.Nothing' },
      {},
      { allExtensionNumbersOfType: 'conclave.v1.GenerateRequest' },
    ]);
    const codes = answers.map(({ errorResponse }) => errorResponse?.errorCode);
    const missing = status.NOT_FOUND;
    expect(codes).toEqual([missing, missing, missing, missing, status.INVALID_ARGUMENT, undefined]);
    expect(answers.at(-1)?.allExtensionNumbersResponse?.extensionNumber).toEqual([]);
  });

  it('asks for a key where the services do', async () => {
    harness = await startHarness({}, { apiKeys: createApiKeys(['secret']) });
    const refused = await ask(version, [{ listServices: '' }]).catch((error: ServiceError) => error.code);
    expect(refused).toBe(status.UNAUTHENTICATED);
    const metadata = new Metadata();
    metadata.set('authorization', 'Bearer secret');
    expect(await ask(version, [{ listServices: '' }], metadata)).toHaveLength(1);
  });
});
