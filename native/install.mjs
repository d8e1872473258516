// `npm install`, `npm run build:native`: builds native/build/conclave.node.
import { BuildError, buildNative } from './build.mjs';

try {
  buildNative('build', {}, process.env.npm_lifecycle_event === 'install');
} catch (error) {
  if (!(error instanceof BuildError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
