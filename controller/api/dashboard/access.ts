/** Who may look at the dashboard, and who may change the cluster from it. */
import type { FastifyRequest } from 'fastify';

/** Keys stand in the Authorization header only: a page of another site cannot send one that it does not know. */
export interface DashboardAccess {
  /** Whether the holder of this key may look. */
  looks(authorization: string | undefined): boolean;
  /** Whether operators need a key. Without one, processes on this machine may change the cluster. */
  readonly operatorsNeedKey: boolean;
  /** `peer`: address and port. */
  operates(authorization: string | undefined, peer: string): boolean;
  /** What an operator is called in events; `claim` is what the client says of itself. */
  operatorName(authorization: string | undefined, claim: string): string;
}

/** Headers of a proxy: whoever it speaks for is not known to be on this machine. */
const proxyHeaders = ['x-forwarded-for', 'x-real-ip', 'forwarded', 'via'];

/** Why a request may not change the cluster; null: it may. */
export function operatorObstacle(request: FastifyRequest, access: DashboardAccess): string | null {
  const { headers, socket } = request;
  const { remoteAddress = '', remotePort } = socket;
  const host = remoteAddress.includes(':') ? `[${remoteAddress}]` : remoteAddress;
  const allowed = access.operates(headers.authorization, `${host}:${remotePort}`);
  if (access.operatorsNeedKey) return allowed ? null : 'changes need an admin key, and this is not one';
  const local = 'without keys only this machine may change the cluster: give the controllers --admin-key-file';
  if (!allowed || proxyHeaders.some((name) => headers[name] !== undefined)) return local;
  // A page of another site, or of a name that was made to resolve to this machine, has the browser of an operator only.
  const site = headers['sec-fetch-site'] ?? 'none';
  if (!isLoopbackName(headers.host ?? ''))
    return `${local}, or open the dashboard as http://127.0.0.1 or http://localhost`;
  return site === 'none' || site === 'same-origin'
    ? null
    : 'changes are taken from the dashboard itself, not from other sites';
}

/** Whether a Host header, with or without a port, names this machine and can be nobody else's. */
function isLoopbackName(host: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/i.test(host);
}
