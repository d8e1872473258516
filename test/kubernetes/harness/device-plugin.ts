/** A device plugin without devices: the kubelet offers as many as it says, and gives them to pods that ask. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  credentials,
  type GrpcObject,
  loadPackageDefinition,
  Server,
  ServerCredentials,
  type ServerWritableStream,
  type ServiceClientConstructor,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/** Where every kubelet has it, whatever its root folder. */
const folder = '/var/lib/kubelet/device-plugins';
const api = loadPackageDefinition(loadSync(join(import.meta.dirname, 'device-plugin.proto'), { keepCase: true }))[
  'v1beta1'
] as GrpcObject;

interface Allocation {
  readonly container_requests: readonly { readonly devices_ids: readonly string[] }[];
}

/** Offers devices under a resource's name until it is closed, which leaves the node with none. */
export async function offerDevices(resource: string, count: number): Promise<() => Promise<void>> {
  const devices = Array.from({ length: count }, (_, index) => ({ ID: `fake-${index}`, health: 'Healthy' }));
  const endpoint = 'conclave-test.sock';
  const watching = new Set<ServerWritableStream<object, object>>();
  const server = new Server();
  server.addService((api['DevicePlugin'] as ServiceClientConstructor).service, {
    GetDevicePluginOptions: (_: unknown, done: (error: null, answer: object) => void) => done(null, {}),
    ListAndWatch: (call: ServerWritableStream<object, object>) => {
      watching.add(call);
      call.write({ devices });
    },
    Allocate: ({ request }: { readonly request: Allocation }, done: (error: null, answer: object) => void) => {
      const visible = request.container_requests.map(({ devices_ids: ids }) => ({
        NVIDIA_VISIBLE_DEVICES: ids.join(','),
      }));
      done(null, { container_responses: visible.map((envs) => ({ envs })) });
    },
  });
  const socket = join(folder, endpoint);
  rmSync(socket, { force: true });
  await promisify(server.bindAsync.bind(server))(`unix:${socket}`, ServerCredentials.createInsecure());
  const Registration = api['Registration'] as ServiceClientConstructor;
  const kubelet = new Registration(`unix:${join(folder, 'kubelet.sock')}`, credentials.createInsecure());
  const register = promisify<object, unknown>(kubelet['Register']!.bind(kubelet));
  await register({ version: 'v1beta1', endpoint, resource_name: resource }).finally(() => kubelet.close());
  return async () => {
    for (const call of watching) {
      call.write({ devices: [] });
      call.end();
    }
    server.forceShutdown();
    rmSync(socket, { force: true });
  };
}
