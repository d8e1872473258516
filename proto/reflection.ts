/**
 * gRPC server reflection, v1 and v1alpha: tools such as grpcurl learn from it what a port serves.
 *
 * The descriptors are those that buf makes of the .proto files when the project is built, byte for byte. Descriptors that
 * @grpc/proto-loader makes at run time have other field names, no proto3 `optional`, and map entries that tools refuse.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadPackageDefinition, type Server, type ServerDuplexStream, status } from '@grpc/grpc-js';
import { loadSync, type MessageTypeDefinition } from '@grpc/proto-loader';
import type { ServerReflectionRequest__Output as Request } from './generated/grpc/reflection/v1/ServerReflectionRequest.ts';
import type { ServerReflectionResponse as Response } from './generated/grpc/reflection/v1/ServerReflectionResponse.ts';
import type { ProtoGrpcType } from './generated/reflection.ts';
import { packageRoot } from './package-root.ts';

export const reflectionServices = ['grpc.reflection.v1.ServerReflection', 'grpc.reflection.v1alpha.ServerReflection'];

const options = { longs: Number, enums: String, defaults: true, oneofs: true };

/** Of google.protobuf.FileDescriptorProto, what names the symbols of a file. */
interface FileDescriptor {
  readonly name: string;
  readonly package: string;
  readonly dependency: readonly string[];
  readonly messageType: readonly MessageDescriptor[];
  readonly enumType: readonly EnumDescriptor[];
  readonly service: readonly { readonly name: string; readonly method: readonly Named[] }[];
}

interface MessageDescriptor extends Named {
  readonly field: readonly Named[];
  readonly oneofDecl: readonly Named[];
  readonly nestedType: readonly MessageDescriptor[];
  readonly enumType: readonly EnumDescriptor[];
}

interface EnumDescriptor extends Named {
  readonly value: readonly Named[];
}

interface Named {
  readonly name: string;
}

interface Schema {
  /** By file name: serialized google.protobuf.FileDescriptorProto. */
  readonly bytes: ReadonlyMap<string, Buffer>;
  readonly dependencies: ReadonlyMap<string, readonly string[]>;
  /** File of each full name of a message, field, enum, service or method. */
  readonly fileOf: ReadonlyMap<string, string>;
}

/** Adds both versions of the service to a server; `services` are the full names of what the server serves besides. */
export function addReflection(server: Server, services: readonly string[]): void {
  const schema = readSchema(join(packageRoot, 'proto/generated/descriptors.binpb'));
  const listed = [...services, ...reflectionServices].map((name) => ({ name }));
  const handlers = {
    ServerReflectionInfo(stream: ServerDuplexStream<Request, Response>) {
      stream.on('data', (request: Request) => {
        const response = { validHost: request.host, originalRequest: request, ...answer(request, schema, listed) };
        if (!stream.write(response)) stream.pause();
      });
      stream.on('drain', () => stream.resume());
      stream.on('end', () => stream.end());
    },
  };
  for (const version of ['v1', 'v1alpha'] as const) {
    const loaded = loadSync(`grpc/reflection/${version}/reflection.proto`, {
      ...options,
      includeDirs: [join(packageRoot, 'proto')],
    });
    // Both versions have the same messages.
    const { grpc } = loadPackageDefinition(loaded) as unknown as { grpc: { reflection: Record<string, Versioned> } };
    const definition = grpc.reflection[version];
    if (definition !== undefined) server.addService(definition.ServerReflection.service, handlers);
  }
}

type Versioned = ProtoGrpcType['grpc']['reflection']['v1'];

function answer(request: Request, schema: Schema, services: readonly Named[]): Response {
  switch (request.messageRequest) {
    case 'listServices':
      return { listServicesResponse: { service: [...services] } };
    case 'fileByFilename':
      return files(request.fileByFilename, request.fileByFilename ?? '', schema);
    case 'fileContainingSymbol':
      return files(schema.fileOf.get(request.fileContainingSymbol ?? ''), request.fileContainingSymbol ?? '', schema);
    case 'fileContainingExtension':
      return failure(status.NOT_FOUND, `no extension of ${request.fileContainingExtension?.containingType}`);
    case 'allExtensionNumbersOfType': {
      const baseTypeName = request.allExtensionNumbersOfType ?? '';
      if (!schema.fileOf.has(baseTypeName)) return failure(status.NOT_FOUND, `no message ${baseTypeName}`);
      return { allExtensionNumbersResponse: { baseTypeName, extensionNumber: [] } };
    }
    default:
      return failure(status.INVALID_ARGUMENT, 'expected a request for services, files, symbols or extensions');
  }
}

/** A file, then all that it imports. */
function files(file: string | undefined, asked: string, { bytes, dependencies }: Schema): Response {
  if (file === undefined || !bytes.has(file)) return failure(status.NOT_FOUND, `there is no ${asked}`);
  const names = new Set([file]);
  for (const name of names) for (const imported of dependencies.get(name) ?? []) names.add(imported);
  const fileDescriptorProto = [...names].flatMap((name) => bytes.get(name) ?? []);
  return { fileDescriptorResponse: { fileDescriptorProto } };
}

function failure(errorCode: status, errorMessage: string): Response {
  return { errorResponse: { errorCode, errorMessage } };
}

function readSchema(path: string): Schema {
  const types = loadSync('google/protobuf/descriptor.proto', options);
  const type = types['google.protobuf.FileDescriptorProto'] as MessageTypeDefinition<object, FileDescriptor>;
  const bytes = new Map<string, Buffer>();
  const dependencies = new Map<string, readonly string[]>();
  const fileOf = new Map<string, string>();
  for (const serialized of filesOfSet(readFileSync(path))) {
    const file = type.deserialize(serialized);
    bytes.set(file.name, serialized);
    dependencies.set(file.name, file.dependency);
    for (const symbol of symbolsOf(file)) fileOf.set(symbol, file.name);
  }
  return { bytes, dependencies, fileOf };
}

/** The members of a google.protobuf.FileDescriptorSet: its only field is `repeated FileDescriptorProto file = 1`. */
function* filesOfSet(set: Buffer): Generator<Buffer> {
  const fieldOne = 0x0a;
  for (let at = 0; at < set.length; ) {
    if (set[at++] !== fieldOne) throw new Error('expected a FileDescriptorSet: run "npm run build:proto"');
    let length = 0;
    let byte = 0x80;
    for (let shift = 0; byte >= 0x80; shift += 7) {
      byte = set[at++] ?? 0;
      length += (byte & 0x7f) * 2 ** shift;
    }
    yield set.subarray(at, at + length);
    at += length;
  }
}

function* symbolsOf(file: FileDescriptor): Generator<string> {
  yield* file.messageType.flatMap((message) => symbolsOfMessage(file.package, message));
  yield* file.enumType.flatMap((type) => symbolsOfEnum(file.package, type));
  for (const { name, method } of file.service) {
    yield `${file.package}.${name}`;
    for (const { name: methodName } of method) yield `${file.package}.${name}.${methodName}`;
  }
}

function symbolsOfMessage(scope: string, message: MessageDescriptor): readonly string[] {
  const full = `${scope}.${message.name}`;
  return [
    full,
    ...[...message.field, ...message.oneofDecl].map(({ name }) => `${full}.${name}`),
    ...message.nestedType.flatMap((nested) => symbolsOfMessage(full, nested)),
    ...message.enumType.flatMap((type) => symbolsOfEnum(full, type)),
  ];
}

/** Values of an enum stand beside it, not inside it. */
function symbolsOfEnum(scope: string, { name, value }: EnumDescriptor): readonly string[] {
  return [`${scope}.${name}`, ...value.map(({ name: valueName }) => `${scope}.${valueName}`)];
}
