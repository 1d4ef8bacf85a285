import { beforeAll, describe, expect, it } from 'vitest';
import { type Block, blocksOf, type Page, pages } from './markdown.js';
import { commandLinesOf, commandSpansOf, faultsOf } from './shell.js';
import { modulesOf, namesFromPrelude, preludeNames, typeErrorsIn } from './type-check.js';

const all = pages();
const blocks = all.flatMap(blocksOf);

/** What would stand in a page that is wrong in every way that the checks look for. */
const wrong: Page = {
  path: 'docs/wrong.md',
  text: `# Wrong

\`\`\`ts
import { vastWebhook } from 'vast-webhook';
app.use(vastWebhook(secret, { toleranceMinutes: 5 }));
\`\`\`

\`\`\`ts
import { slakc } from 'vast-webhook/sinks';
app.get('/', () => raiseBids());
const count: number = 'one';
\`\`\`

\`\`\`js
vastWebhook(secret).closed();
\`\`\`

\`\`\`sh
npm ci && npm run no-such-script   # and a comment: no-such-thing
SECRET=x npx vast-webhook serve --no-such-option x --path=/ | no-such-program
npx vast-webhook no-such-subcommand
npm run build && node examples/no-such-file.mjs
npm install vast-webhook no-such-package
\`\`\`

Or \`vast-webhook verify --no-such-flag\`. The first of these says why it is not checked, the second does not:

<!-- not checked: it is of another service -->
\`\`\`ts
nobody.knows(this);
\`\`\`

<!-- not checked -->
\`\`\`ts
nobody.knows(why);
\`\`\`
`,
};
const wrongBlocks = blocksOf(wrong);
const modules = modulesOf([...blocks, ...wrongBlocks]);
const isWrong = (fault: string) => fault.startsWith(wrong.path);

async function shellFaultsOf(page: Page, ofPage: readonly Block[]): Promise<string[]> {
  const shell = ofPage.filter(({ language, notChecked }) => language === 'sh' && notChecked === undefined);
  const lines = [...shell.flatMap(commandLinesOf), ...commandSpansOf(page)];
  return (await Promise.all(lines.map(faultsOf))).flat();
}

describe('every Markdown file', () => {
  it('names commands, options, scripts, packages and files that are there', async () => {
    const faults = await Promise.all(all.map((page) => shellFaultsOf(page, blocksOf(page))));
    expect(faults.flat()).toEqual([]);
    expect(await shellFaultsOf(wrong, wrongBlocks)).toEqual([
      'docs/wrong.md:19: there is no npm script no-such-script',
      'docs/wrong.md:20: vast-webhook serve has no --no-such-option',
      'docs/wrong.md:20: no-such-program is not a command that the pages may use',
      'docs/wrong.md:21: vast-webhook has no subcommand no-such-subcommand',
      'docs/wrong.md:22: there is no file examples/no-such-file.mjs',
      'docs/wrong.md:23: no-such-package is no dependency',
      'docs/wrong.md:26: vast-webhook verify has no --no-such-flag',
    ]);
  });
});

describe('every block of code', () => {
  let errors: readonly string[];
  beforeAll(() => {
    errors = typeErrorsIn(modules);
  });

  it('compiles against the sources', () => {
    expect(errors.filter((error) => !isWrong(error))).toEqual([]);
  });

  it('gets an error for what is wrong', () => {
    expect(errors.filter(isWrong)).toEqual([
      expect.stringMatching(/^docs\/wrong.md:5: .*'toleranceMinutes' does not exist/),
      expect.stringMatching(/^docs\/wrong.md:9: .*no exported member named 'slakc'/),
      expect.stringMatching(/^docs\/wrong.md:10: Cannot find name 'raiseBids'/),
      expect.stringMatching(/^docs\/wrong.md:11: Type 'string' is not assignable to type 'number'/),
      expect.stringMatching(/^docs\/wrong.md:15: Property 'closed' does not exist/),
      expect.stringMatching(/^docs\/wrong.md:35: Cannot find name 'nobody'/),
      expect.stringMatching(/^docs\/wrong.md:35: Cannot find name 'why'/),
    ]);
  });

  it('is JSON where it says so', () => {
    const json = blocks.filter(({ language }) => language === 'json');
    expect(json.length).toBeGreaterThan(0);
    for (const { code } of json) expect(() => JSON.parse(code)).not.toThrow();
  });

  it('is of a language that is checked, or output', () => {
    const languages = ['ts', 'js', 'json', 'sh', 'yaml', 'text'];
    const odd = blocks.filter(({ language, page }) => !languages.includes(language) && page.path !== 'bench/README.md');
    expect(odd.map(({ page, line, language }) => `${page.path}:${line}: ${language}`)).toEqual([]);
  });

  it('of a guide needs nothing that its page does not have', () => {
    const guides = modulesOf(blocks.filter(({ page }) => /^docs\/[^/]*$/.test(page.path)));
    expect(guides.flatMap(namesFromPrelude)).toEqual([]);
  });

  it('uses all that is declared for it', () => {
    expect([...preludeNames].filter((name) => !modules.flatMap(namesFromPrelude).includes(name))).toEqual([]);
  });
});
