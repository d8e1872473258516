/** What the dashboard shows and changes: of a cluster, and of one process that serves everything. */
import type { FastifyInstance } from 'fastify';
import { addDashboard } from '../../controller/api/dashboard/dashboard.ts';
import type { ClusterController } from '../../controller/cluster/cluster-controller.ts';
import type { AdminAccess } from '../../controller/cluster/control/admin-access.ts';
import { overHttp } from '../../controller/cluster/control/control-error.ts';
import { type ApiKeys, openAccess } from '../../platform/rpc/api-keys.ts';
import type { GetStatusResponse } from '../../proto/generated/conclave/v1/GetStatusResponse.ts';

/** Adds the dashboard of a cluster. Those with an API key or an admin key may look, those who may operate may change. */
export function addClusterDashboard(
  app: FastifyInstance,
  controller: ClusterController,
  apiKeys: ApiKeys,
  access: AdminAccess,
): void {
  addDashboard(app, {
    status: () => controller.status(),
    plan: () => controller.view.target,
    access: {
      looks: (authorization) =>
        apiKeys.allows(authorization) || (access.needsKey && access.operates(authorization, '')),
      operatorsNeedKey: access.needsKey,
      operates: access.operates,
      operatorName: access.operatorName,
    },
    operations: {
      scale: (request, by) => controller.scale(request, by).catch(refuse),
      drain: (request, by) => controller.drain(request, by).catch(refuse),
    },
  });
}

/** Adds the dashboard of one process: there is nothing to change. */
export function addEmbeddedDashboard(app: FastifyInstance, status: () => GetStatusResponse, apiKeys: ApiKeys): void {
  addDashboard(app, {
    ...{ status, plan: () => null, operations: null },
    access: {
      looks: (authorization) => apiKeys.allows(authorization),
      operatorsNeedKey: apiKeys !== openAccess,
      operates: () => false,
      operatorName: () => '',
    },
  });
}

function refuse(error: unknown): never {
  throw overHttp(error);
}
