import { defineConfig } from 'tsup';

export default defineConfig({
  entry: ['src/index.ts', 'src/koa.ts', 'src/stores/index.ts', 'src/sinks/index.ts', 'src/testing/index.ts'],
  format: ['esm', 'cjs'],
  target: 'node20',
  // Shared code stands in one chunk a format, so that a store or sink is the same class in every entry.
  splitting: true,
  clean: true,
  dts: { compilerOptions: { ignoreDeprecations: '6.0' } },
});
