import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Program } from '../examples/checkout.js';
import { copyBuiltPackage } from '../support/built-package.js';

const root = fileURLToPath(new URL('../../', import.meta.url));

export interface Installed {
  /** Starts the command in a project, with nothing in the environment but what is given. */
  start(args: readonly string[], env?: Readonly<Record<string, string>>, project?: string): Program;
  /** A project's folder, in which some packages are installed beside this one. */
  projectWith(...packages: readonly string[]): Promise<string>;
  remove(): Promise<void>;
}

/**
 * The command as it stands, laid out as npm installs it: with the package's dependencies and no client of anybody's.
 */
export async function installed(): Promise<Installed> {
  const folder = await mkdtemp(join(tmpdir(), 'vast-webhook-'));
  const programs: Program[] = [];
  let projects = 0;
  const projectWith = async (...packages: readonly string[]) => {
    const project = join(folder, `project-${++projects}`);
    const modules = join(project, 'node_modules');
    await copyBuiltPackage(join(modules, 'vast-webhook'));
    for (const name of ['raw-body', ...packages]) {
      await mkdir(dirname(join(modules, name)), { recursive: true });
      await symlink(join(root, 'node_modules', name), join(modules, name), 'dir');
    }
    return project;
  };
  const bare = await projectWith();
  return {
    projectWith,
    start(args, env = {}, project = bare) {
      const program = new Program(['node_modules/vast-webhook/dist/cli/main.js', ...args], project, env);
      programs.push(program);
      return program;
    },
    async remove() {
      for (const program of programs) program.kill('SIGKILL');
      await Promise.all(programs.map(({ exited }) => exited));
      await rm(folder, { recursive: true, force: true });
    },
  };
}
