import { defineConfig } from 'tsup';

// scripts/build.mjs makes CommonJS of this. tsup's own way to it with shared chunks compiles `??` and `?.` down to
// function calls, on the hot path, too.
export default defineConfig({
  entry: [
    'src/index.ts',
    'src/koa.ts',
    'src/fetch.ts',
    'src/stores/index.ts',
    'src/sinks/index.ts',
    'src/api/index.ts',
    'src/testing/index.ts',
  ],
  format: 'esm',
  outDir: 'dist/esm',
  target: 'node20',
  removeNodeProtocol: false,
  // What entries share stands once, so that a store or an error is the same class in all of them.
  splitting: true,
  clean: true,
  dts: { compilerOptions: { ignoreDeprecations: '6.0' } },
  // Names stay, so that a stack trace still reads well.
  esbuildOptions(options) {
    options.minifyWhitespace = true;
    options.minifySyntax = true;
  },
});
