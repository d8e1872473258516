import { Counter, Gauge, type Registry } from 'prom-client';
import type { TlsFiles } from './tls-source.ts';

/** When what a process serves with ends, and whether new files are taken; null: it serves without TLS. */
export function certificateMetrics(registry: Registry, tls: TlsFiles | null): void {
  if (tls === null) return;
  new Gauge({
    name: 'conclave_certificate_expiry_timestamp_seconds',
    help: 'When a certificate in use ends, in seconds since 1970: the one of this process, and the last of the authorities.',
    labelNames: ['certificate'],
    registers: [registry],
    collect() {
      const { expiresAtMs, authorityExpiresAtMs } = tls.current;
      this.set({ certificate: 'own' }, expiresAtMs / 1_000);
      if (authorityExpiresAtMs !== null) this.set({ certificate: 'authority' }, authorityExpiresAtMs / 1_000);
    },
  });
  new Counter({
    name: 'conclave_certificate_reloads_total',
    help: 'Times that the files of the certificate changed, by whether what they held then was taken.',
    labelNames: ['result'],
    registers: [registry],
    collect() {
      this.reset();
      this.inc({ result: 'succeeded' }, tls.reloads.succeeded);
      this.inc({ result: 'failed' }, tls.reloads.failed);
    },
  });
}
