// Compiles constraints in a process of their own: a schema may ask for more time and memory than one request may have. Plain
// JavaScript that starts from the source tree; the compiler is the built one, as Node runs no TypeScript here.
import { compileConstraint } from '../../../dist/controller/text/constraint/request/compile-constraint.js';

process.on('message', (task) => {
  try {
    process.send(compileConstraint(task));
  } catch (error) {
    process.send({ fault: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
});
process.on('disconnect', () => process.exit());
// Signals to the whole group end the server, which may still have requests to finish.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {});
process.send('ready');
