// Bundles src/cli/dev/page/ into one HTML document, as the module `virtual:dev-page`: for the command, which carries
// it as a text, and for tests that run the command from its sources.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build, transform } from 'esbuild';

export const devPageModule = 'virtual:dev-page';

const folder = fileURLToPath(new URL('../src/cli/dev/page/', import.meta.url));
const target = ['chrome123', 'firefox121', 'safari17.5'];

/** The document, and the files that it was made of. */
export async function bundleDevPage() {
  const { outputFiles, metafile } = await build({
    entryPoints: [`${folder}main.tsx`],
    bundle: true,
    format: 'iife',
    target,
    jsx: 'automatic',
    jsxImportSource: 'preact',
    minify: true,
    legalComments: 'none',
    write: false,
    metafile: true,
    logLevel: 'warning',
  });
  const { code: style } = await transform(await readFile(`${folder}style.css`, 'utf8'), {
    loader: 'css',
    minify: true,
    target,
  });
  const template = await readFile(`${folder}index.html`, 'utf8');
  const parts = { style: style.trim(), script: outputFiles[0].text.trim() };
  for (const [tag, text] of Object.entries(parts)) {
    if (text.includes(`</${tag}`)) throw new Error(`the ${tag} of dev's page would end early`);
  }
  // By functions, because a text may hold what `replace` reads as a pattern.
  const html = template.replace('/*style*/', () => parts.style).replace('/*script*/', () => parts.script);
  return { html, inputs: Object.keys(metafile.inputs) };
}

/** For Vite, whose name for a module that is no file begins with NUL. */
export function devPagePlugin() {
  const id = `\0${devPageModule}`;
  return {
    name: 'dev-page',
    resolveId: (imported) => (imported === devPageModule ? id : undefined),
    async load(loaded) {
      if (loaded === id) return `export default ${JSON.stringify((await bundleDevPage()).html)};`;
    },
  };
}
