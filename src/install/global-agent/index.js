/**
 * Replaces the package `global-agent` in a clone (see "overrides" in package.json). Only onnxruntime-node's install script uses it, and calls
 * `bootstrap` first; ending the process there keeps every npm version from downloading some 300 MB of CUDA libraries that a CPU install
 * does not need. An installed package cannot override: there skip-cuda-download.ts does it.
 */
exports.bootstrap = () => process.exit(0);
