import type { Instruments } from '../../../platform/metrics/instruments.ts';
import { longBuckets } from './buckets.ts';

export interface HttpMetrics {
  /** A route is there: its series begin with 0. */
  onHttpRoute(method: string, route: string): void;
  /** An HTTP request was answered. `route` is the route's pattern, never a path that a client made up. */
  onHttpResponse(method: string, route: string, status: number, milliseconds: number): void;
}

/** Series that are there before the first answer, so that rates and alerts see it. */
const firstStatuses = ['200', '400', '429', '500', '503'];

export function createHttpMetrics(make: Instruments): HttpMetrics {
  const requests = make.counter('http_requests_total', 'HTTP requests answered.', ['method', 'route', 'status']);
  const time = make.histogram('http_request_duration_seconds', 'Time to answer HTTP requests.', longBuckets, ['route']);
  requests.inc({ method: 'GET', route: 'unknown', status: '404' }, 0);
  return {
    onHttpRoute(method, route) {
      for (const status of firstStatuses) requests.inc({ method, route, status }, 0);
      time.zero({ route });
    },
    onHttpResponse(method, route, status, milliseconds) {
      requests.inc({ method, route, status: String(status) });
      time.observe({ route }, milliseconds / 1000);
    },
  };
}
