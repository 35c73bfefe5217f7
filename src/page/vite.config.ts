/** How the page is built: one script and one style sheet with hashed names, and a compressed copy of each for the service to send. */
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { defineConfig, type Plugin } from 'vite';

/** A request of a development server goes to a service that runs beside it. */
const SERVICE = 'http://127.0.0.1:8080';
const API = ['/search', '/index', '/images', '/collections', '/compare', '/stats', '/map', '/imports', '/readyz', '/openapi.yaml', '/docs'];

export default defineConfig({
  base: './', // Below whatever prefix a proxy puts before the service.
  build: {
    outDir: '../../dist/page',
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: false,
    assetsInlineLimit: 0, // A data: address would need a looser content policy.
    reportCompressedSize: false,
  },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  plugins: [compressed()],
  server: { proxy: Object.fromEntries(API.map((path) => [path, { target: SERVICE }])) },
});

/** Writes NAME.br and NAME.gz beside what is text, once, so that no request waits for a compression. */
function compressed(): Plugin {
  return {
    name: 'compressed',
    apply: 'build',
    enforce: 'post',
    generateBundle(_options, bundle) {
      for (const file of Object.values(bundle)) {
        if (!/\.(js|css|svg|webmanifest)$/.test(file.fileName)) continue;
        const bytes = Buffer.from(file.type === 'chunk' ? file.code : file.source);
        const params = { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
        this.emitFile({ type: 'asset', fileName: `${file.fileName}.br`, source: brotliCompressSync(bytes, { params }) });
        this.emitFile({ type: 'asset', fileName: `${file.fileName}.gz`, source: gzipSync(bytes, { level: 9 }) });
      }
    },
  };
}
