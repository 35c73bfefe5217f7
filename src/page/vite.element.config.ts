/**
 * Build of `<likeness-search>`: one classic script with a stable name, which host pages load from another origin
 * without CORS.
 */
import { defineConfig } from 'vite';
import { compressed } from './vite.config.js';

export default defineConfig({
  plugins: [compressed()],
  build: {
    outDir: '../../dist/page',
    emptyOutDir: false, // The page itself was built before.
    target: 'es2022',
    reportCompressedSize: false,
    copyPublicDir: false,
    lib: {
      entry: 'element/likeness-search.ts',
      formats: ['iife'],
      name: 'LikenessSearch',
      fileName: () => 'likeness-search.js',
    },
  },
});
