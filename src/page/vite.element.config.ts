/** How `<likeness-search>` is built: one classic script of a lasting name, which a host page can load from another origin without CORS. */
import { defineConfig } from 'vite';

export default defineConfig({
  build: {
    outDir: '../../dist/page',
    emptyOutDir: false, // The page itself was built before.
    target: 'es2022',
    reportCompressedSize: false,
    copyPublicDir: false,
    lib: { entry: 'element/likeness-search.ts', formats: ['iife'], name: 'LikenessSearch', fileName: () => 'likeness-search.js' },
  },
});
