// The other process of the dispatch bench: ShardService over a bank that returns its rows, and a plain echo beside it.
import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import type { ExpertBank } from '../../native/native.ts';
import { collectGarbageLessOften } from '../../platform/process/garbage-collection.ts';
import { dataChannelOptions } from '../../platform/rpc/channel.ts';
import { shardService } from '../../worker/shard/server.ts';
import { shardServerDefinition } from '../../worker/wire/definition.ts';
import { echoService } from './echo.ts';

collectGarbageLessOften();
const hidden = Number(process.argv[2]);

/** Sums of zeros, as wide as they usually are: what is measured is the way, not the experts. */
const bank: ExpertBank = {
  load: () => Promise.resolve([]),
  unload: () => undefined,
  has: () => true,
  forward: ({ rowCount }) => Promise.resolve({ type: 'i24', partial: new Uint8Array(rowCount * hidden * 3) }),
  slotCount: 0,
  bytes: 0,
  close: () => undefined,
};

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(port);
      else reject(error);
    });
  });
}

const ours = new Server(dataChannelOptions);
const widths = { hidden, expertWidth: () => hidden };
const shards = { bank, ...widths, rank: () => undefined, denseRank: () => undefined, epoch: () => 1 };
const observer = { onForward: () => undefined, onRefused: () => undefined };
ours.addService(shardServerDefinition(), { ...shardService({ shards, session: null, observer }) });

const plain = new Server(dataChannelOptions);
plain.addService(echoService, {
  Echo: (stream: ServerDuplexStream<Buffer, Buffer>) => {
    stream.on('data', (bytes: Buffer) => stream.write(bytes));
    stream.on('end', () => stream.end());
  },
});

const [shardPort, echoPort] = [await listen(ours), await listen(plain)];
process.send?.({ shardPort, echoPort });
process.on('disconnect', () => {
  ours.forceShutdown();
  plain.forceShutdown();
});
