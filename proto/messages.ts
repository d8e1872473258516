/**
 * The wire's messages: clean names for their types, and functions that encode and decode them.
 *
 * Decoded form: camelCase keys, enums as their names, 64-bit integers as numbers (values stay below 2^53) but for those of
 * clients' messages (inference.proto), which are decimal digits, bytes as Buffer, every field present but those marked
 * `optional` and messages that are absent (null).
 */
import { join } from 'node:path';
import { loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync, type MessageTypeDefinition } from '@grpc/proto-loader';
import type { ProtoGrpcType as ControlTypes } from './generated/control.ts';
import type { ProtoGrpcType as InferenceTypes } from './generated/inference.ts';
import type { ProtoGrpcType as ShardTypes } from './generated/shard.ts';
import type { ProtoGrpcType as StageTypes } from './generated/stage.ts';
import { packageRoot } from './package-root.ts';
import './sixty-four-bits.ts';

export type { Grammar__Output as Grammar } from './generated/conclave/v1/Grammar.ts';
export type { ModelSpec__Output as ModelSpec } from './generated/conclave/v1/ModelSpec.ts';
export type { PlacementPlan__Output as PlacementPlan } from './generated/conclave/v1/PlacementPlan.ts';
export type { RunRequest__Output as RunRequest } from './generated/conclave/v1/RunRequest.ts';
export type { RunResponse__Output as RunResponse } from './generated/conclave/v1/RunResponse.ts';
export type { TokenConstraint__Output as TokenConstraint } from './generated/conclave/v1/TokenConstraint.ts';

export { packageRoot } from './package-root.ts';

const files = ['control', 'inference', 'shard', 'stage'].map((name) => `conclave/v1/${name}.proto`);

/** Every message and service of conclave.v1, as @grpc/proto-loader gives them. */
export const packageDefinition = loadSync(files, {
  includeDirs: [join(packageRoot, 'proto')],
  longs: Number,
  enums: String,
  defaults: true,
  oneofs: true,
});

type Types = ControlTypes & InferenceTypes & ShardTypes & StageTypes;

/** Service constructors and definitions of conclave.v1. */
export const conclave = (loadPackageDefinition(packageDefinition) as unknown as Types).conclave.v1;

/** Encodes a message as protobuf. */
export function encode<Input extends object, Output>(
  type: MessageTypeDefinition<Input, Output>,
  message: Input,
): Buffer {
  return type.serialize(message);
}

/** Decodes a message; throws on bytes that are not one. */
export function decode<Input extends object, Output extends object>(
  type: MessageTypeDefinition<Input, Output>,
  bytes: Uint8Array,
): Output {
  return type.deserialize(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}
