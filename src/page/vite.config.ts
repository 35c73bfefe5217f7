/** How the page is built: one script and one style sheet with hashed names, and a compressed copy of each for the service to send. */
import { promisify } from 'node:util';
import { brotliCompress, gzip } from 'node:zlib';
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
    rolldownOptions: { checks: { pluginTimings: false } },
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
