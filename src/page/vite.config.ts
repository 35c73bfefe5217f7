/**
 * Build of the page: one script and one style sheet with hashed names, precompressed. `npx vite src/page` serves it
 * for development.
 */
import { promisify } from 'node:util';
import { brotliCompress, gzip } from 'node:zlib';
import { defineConfig, loadEnv, type Plugin } from 'vite';

/** The development server forwards API requests to this service; LIKENESS_URL names another. */
const SERVICE = 'http://127.0.0.1:8080';
/** First segments of the API's paths. */
const API = [
  ...['search', 'index', 'images', 'collections', 'compare', 'map', 'imports', 'snapshots', 'encoder'],
  ...['stats', 'livez', 'healthz', 'readyz', 'metrics', 'openapi.yaml', 'docs', 'likeness-search.js'],
];

export default defineConfig(({ mode }) => ({
  base: './', // Works under any path prefix of a proxy.
  build: {
    outDir: '../../dist/page',
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: false,
    assetsInlineLimit: 0, // A data: URL would need a looser content policy.
    reportCompressedSize: false,
    rolldownOptions: { checks: { pluginTimings: false } },
  },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  plugins: [compressed()],
  server: {
    host: '127.0.0.1',
    // The page imports src/client, which is outside its root.
    fs: { allow: ['../..'] },
    proxy: {
      [`^/(${API.join('|').replaceAll('.', '\\.')})(?=[/?]|$)`]: {
        target: loadEnv(mode, '.', 'LIKENESS_').LIKENESS_URL ?? SERVICE,
      },
    },
  },
}));

/** Writes NAME.br and NAME.gz for each text file, so that the service never compresses at run time. */
export function compressed(): Plugin {
  return {
    name: 'compressed',
    apply: 'build',
    enforce: 'post',
    async generateBundle(_options, bundle) {
      const files = Object.values(bundle).filter(({ fileName }) => /\.(js|css|svg|webmanifest)$/.test(fileName));
      await Promise.all(
        files.map(async (file) => {
          const bytes = Buffer.from(file.type === 'chunk' ? file.code : file.source);
          const [br, gz] = await Promise.all([promisify(brotliCompress)(bytes), promisify(gzip)(bytes, { level: 9 })]);
          this.emitFile({ type: 'asset', fileName: `${file.fileName}.br`, source: br });
          this.emitFile({ type: 'asset', fileName: `${file.fileName}.gz`, source: gz });
        }),
      );
    },
  };
}
