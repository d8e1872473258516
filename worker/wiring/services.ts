import type { handleUnaryCall, ServerWritableStream } from '@grpc/grpc-js';
import type { ExpertBank } from '../../native/native.ts';
import type { MemberKeys } from '../../platform/membership/membership.ts';
import { dataChannelOptions, MAX_DATA_MESSAGE_BYTES } from '../../platform/rpc/channel.ts';
import { createGrpcServer, type GrpcServer } from '../../platform/rpc/server.ts';
import type { ServerTls } from '../../platform/tls/tls-source.ts';
import type { IdentifyRequest__Output as IdentifyRequest } from '../../proto/generated/conclave/v1/IdentifyRequest.ts';
import type { IdentifyResponse } from '../../proto/generated/conclave/v1/IdentifyResponse.ts';
import type { RunRequest__Output } from '../../proto/generated/conclave/v1/RunRequest.ts';
import type { RunResponse } from '../../proto/generated/conclave/v1/RunResponse.ts';
import { conclave } from '../../proto/messages.ts';
import type { WorkerSession } from '../../proto/worker-session.ts';
import type { WorkerAgent } from '../agent/worker-agent.ts';
import { type HostedShards, type ShardObserver, shardService } from '../shard/server.ts';
import { serveRun, stopSequenceHandler } from '../stage/run-service.ts';
import type { StageHost } from '../stage/stage-host.ts';
import { serveSteps } from '../stage/step-service.ts';
import { shardServerDefinition } from '../wire/definition.ts';
import type { Closers } from './closers.ts';

export interface ServiceOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Host by which others reach this worker. */
  readonly advertiseHost: string;
  /** Null: not encrypted. */
  readonly tls: ServerTls | null;
}

/** What the services answer with. */
export interface ServiceContext {
  readonly keys: MemberKeys;
  readonly session: WorkerSession;
  readonly bank: ExpertBank;
  /** Elements of a row: of the residual stream, and as experts of a layer read and give it. */
  readonly hidden: number;
  readonly expertWidth: (layer: number) => number;
  readonly stages: StageHost;
  readonly agent: WorkerAgent;
  readonly observer: ShardObserver;
}

/** The gRPC services that other members call, and the address by which they reach them. */
export async function startServices(
  { host, port: wantedPort, advertiseHost, tls }: ServiceOptions,
  { keys, session, bank, hidden, expertWidth, stages, agent, observer }: ServiceContext,
  closers: Closers,
): Promise<{ readonly server: GrpcServer; readonly address: string }> {
  const maxMessageBytes = MAX_DATA_MESSAGE_BYTES;
  const server = createGrpcServer({ host, port: wantedPort, tls, maxMessageBytes, channelOptions: dataChannelOptions });
  const members = (metadata: Parameters<MemberKeys['accepts']>[0]): boolean => keys.accepts(metadata);
  const shards: HostedShards = {
    bank,
    hidden,
    expertWidth,
    rank: (pipeline, cache) => stages.rank(pipeline, cache),
    denseRank: (pipeline, layer) => stages.denseRank(pipeline, layer),
    epoch: () => agent.view.target?.epoch ?? 0,
  };
  const shardHandlers = { ...shardService({ shards, session, observer }) };
  server.addService('conclave.v1.ShardService', shardServerDefinition(), shardHandlers, members);
  server.addService('conclave.v1.StageService', conclave.StageService.service, stageHandlers(stages), members);
  const identify: handleUnaryCall<IdentifyRequest, IdentifyResponse> = (_call, callback) => callback(null, session);
  server.addService('conclave.v1.WorkerService', conclave.WorkerService.service, { Identify: identify }, members);
  const port = await server.start();
  closers.add(() => server.close(1_000));
  return { server, address: `${advertiseHost.includes(':') ? `[${advertiseHost}]` : advertiseHost}:${port}` };
}

function stageHandlers(stages: StageHost) {
  return {
    Run: (call: ServerWritableStream<RunRequest__Output, RunResponse>) => void serveRun(call, () => stages.engine),
    StopSequence: stopSequenceHandler(() => stages.engine),
    Step: (stream: Parameters<typeof serveSteps>[0]) =>
      serveSteps(stream, (pipeline, cache) => stages.runner(pipeline, cache)),
  };
}
