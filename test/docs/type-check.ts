import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { type Block, root } from './markdown.js';

const languages = ['ts', 'js'];
const preludeFile = join(root, 'test/docs/prelude.ts');
const preludeModule = preludeFile.replace(/ts$/, 'js');

/** A block as the compiler and the tests see it: a module beside its page. */
export interface Module {
  readonly block: Block;
  /**
   * Absolute. A block that begins with a comment such as `// app.ts` is that file for the others of its page, and one
   * with a folder, `// src/providers/acme.ts`, stands there.
   */
  readonly file: string;
  readonly text: string;
}

const fromPreludePattern = new RegExp(`import { (\\w+) } from '${preludeModule}'`, 'g');

/** What a module takes from the prelude. */
export function namesFromPrelude({ text }: Module): string[] {
  return [...text.matchAll(fromPreludePattern)].map(([, name = '']) => name);
}

export function modulesOf(blocks: readonly Block[]): Module[] {
  const parsed = blocks
    .filter(({ language, notChecked }) => languages.includes(language) && notChecked === undefined)
    .map((block) => ({ block, file: fileOf(block), ...namesIn(block.code) }));
  return parsed.map(({ block, file, declared, used }) => {
    // A page says once where a name comes from. If it says two things, the first one is what its other blocks mean.
    const ofPage = parsed.filter((other) => other.block.page === block.page).map((other) => other.imports);
    const importOf = (name: string) => ofPage.find((names) => names.has(name))?.get(name) ?? fromPrelude(name);
    const missing = [...used].filter((name) => !declared.has(name)).map(importOf);
    return { block, file, text: block.code + missing.join('') };
  });
}

export const preludeNames: ReadonlySet<string> = exportedBy(readFileSync(preludeFile, 'utf8'));

function exportedBy(code: string): Set<string> {
  const { statements } = ts.createSourceFile('exports.ts', code, ts.ScriptTarget.ES2022);
  const exported = statements.flatMap((statement): (ts.Node | undefined)[] => {
    if (ts.isExportDeclaration(statement)) {
      const { exportClause: clause } = statement;
      return clause && ts.isNamedExports(clause) ? clause.elements.map(({ name }) => name) : [clause?.name];
    }
    if (ts.isVariableStatement(statement)) return statement.declarationList.declarations.map(({ name }) => name);
    return ts.isFunctionDeclaration(statement) ? [statement.name] : [];
  });
  return new Set(exported.filter((name) => name !== undefined && ts.isIdentifier(name)).map(({ text }) => text));
}

function fromPrelude(name: string): string {
  if (!preludeNames.has(name)) return '';
  return `import { ${name} } from '${preludeModule}';`;
}

function fileOf({ page, code, line, language }: Block): string {
  const [, own] = /^\/\/ ([\w./-]+\.[cm]?[jt]s)\n/.exec(code) ?? [];
  if (own?.includes('/')) return join(root, own);
  const folder = page.path.endsWith('README.md') ? dirname(page.path) : page.path.replace(/\.md$/, '');
  return join(root, folder, own ?? `${line}.${language}`);
}

interface Names {
  readonly declared: Set<string>;
  readonly used: Set<string>;
  /** Each imported name, and a statement that imports it alone. */
  readonly imports: Map<string, string>;
}

function namesIn(code: string): Names {
  const source = ts.createSourceFile('names.ts', code, ts.ScriptTarget.ES2022);
  const names: Names = { declared: new Set(), used: new Set(), imports: new Map() };
  const visit = (node: ts.Node, parent: ts.Node): void => {
    if (ts.isImportDeclaration(node)) addImports(node, source, names);
    else if (ts.isIdentifier(node)) addName(node, parent, names);
    else ts.forEachChild(node, (child) => visit(child, node));
  };
  ts.forEachChild(source, (node) => visit(node, source));
  return names;
}

function addImports(
  { importClause, moduleSpecifier }: ts.ImportDeclaration,
  source: ts.SourceFile,
  names: Names,
): void {
  const from = moduleSpecifier.getText(source);
  const add = (name: string, what: string) => {
    names.declared.add(name);
    names.imports.set(name, `import ${what} from ${from};`);
  };
  const { name, namedBindings } = importClause ?? {};
  if (name) add(name.text, name.text);
  if (namedBindings === undefined) return;
  if (ts.isNamespaceImport(namedBindings)) add(namedBindings.name.text, namedBindings.getText(source));
  else for (const element of namedBindings.elements) add(element.name.text, `{ ${element.getText(source)} }`);
}

function addName(node: ts.Identifier, parent: ts.Node, { declared, used }: Names): void {
  const isName = 'name' in parent && parent.name === node;
  if (!isName) used.add(node.text);
  else if (ts.isShorthandPropertyAssignment(parent)) used.add(node.text);
  else if (!ts.isPropertyAccessExpression(parent) && !ts.isPropertyAssignment(parent)) declared.add(node.text);
}

/** What the compiler says of the modules, all checked together, each line as `README.md:12: ...`. */
export function typeErrorsIn(modules: readonly Module[]): string[] {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent({ ...config, files: [], include: [] }, ts.sys, root);
  const byFile = new Map(modules.map((module) => [module.file, module]));
  if (byFile.size < modules.length) throw new Error('two blocks of a page are the same file');
  const settings = {
    ...options,
    checkJs: true,
    moduleDetection: ts.ModuleDetectionKind.Force,
    paths: { ...sourcesOfExports(), ...nextsOwn },
  };
  const host = ts.createCompilerHost(settings);
  const { fileExists, readFile } = host;
  host.fileExists = (file) => byFile.has(file) || fileExists(file);
  host.readFile = (file) => byFile.get(file)?.text ?? readFile(file);
  // The folder of a page is there for the blocks only.
  host.directoryExists = undefined;
  const program = ts.createProgram({ rootNames: [...byFile.keys()], options: settings, host });
  return modules.flatMap(({ file, block }) => {
    const source = program.getSourceFile(file);
    const diagnostics = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
    return diagnostics.map(({ start = 0, messageText }) => {
      const { line = 0 } = source?.getLineAndCharacterOfPosition(start) ?? {};
      return `${block.page.path}:${block.line + line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
    });
  });
}

/** Next.js has its code bundled, and so names files without their ending. */
const nextsOwn = { 'next/server': ['./node_modules/next/server.d.ts'] };

/** The package's own names, and where the source of each stands. */
export function sourcesOfExports(): Record<string, string[]> {
  const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const entries = Object.entries<{ import?: { types: string } }>(exports).flatMap(([path, entry]) => {
    const built = entry.import?.types;
    if (built === undefined) return [];
    const source = built.replace('./dist/esm/', './src/').replace(/\.d\.ts$/, '.ts');
    return [[`vast-webhook${path.slice(1)}`, [source]] as [string, string[]]];
  });
  return Object.fromEntries(entries);
}
