// @ts-check
/** Private Redis and Postgres servers, which can be frozen, killed and started again on the same data. */
import { execFile as execFileCallback } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdtempSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { postgresPrograms, postgresUser, redisProgram } from './server-binaries.mjs';
import { serverProcess, watchFolder } from './server-process.mjs';

/**
 * @typedef {object} PrivateServer
 * @property {string} url
 * @property {number} port
 * @property {string} folder All its data, and its `log`
 * @property {number | undefined} pid Of the running process
 * @property {() => Promise<void>} freeze Resolves when none of its processes runs any more: connections stay, unanswered
 * @property {() => void} thaw
 * @property {(signal?: NodeJS.Signals) => Promise<void>} stop Resolves when all its processes have ended. SIGTERM
 * @property {() => Promise<void>} start Again on the same port and data. Resolves when it answers
 * @property {() => Promise<void>} close Ends it and removes its folder
 *
 * @typedef {object} RedisOptions
 * @property {string} [password]
 * @property {boolean} [cluster] A cluster of this one node, which has all slots
 * @property {'always' | 'everysec'} [appendfsync] 'always', where SIGKILL loses no acknowledged write. 'everysec' is
 *   Redis's own default, which answers ahead of the write when the disk is slow
 *
 * @typedef {object} PostgresOptions
 * @property {number} [maxConnections] 100
 */

const execFile = promisify(execFileCallback);
const slots = 16_384;

/**
 * @param {RedisOptions} [options]
 * @returns {Promise<PrivateServer>}
 */
export async function startRedis({ password, cluster = false, appendfsync = 'always' } = {}) {
  return inFolder('TERM', async (folder, watchdog) => {
    const program = await redisProgram(folder);
    const port = await freePort(cluster);
    const args = redisArguments({ port, folder, password, cluster, appendfsync });
    const ask = (/** @type {string[][]} */ ...commands) =>
      redisReplies(port, password === undefined ? commands : [['AUTH', password], ...commands]);
    const answers = async (/** @type {number} */ pid) => {
      // The number distinguishes it from another server that took the port. PING is refused while data are being loaded.
      const replies = await ask(['PING'], ['INFO', 'server']);
      if (!replies.includes('+PONG\r\n') || !replies.includes(`process_id:${pid}\r\n`)) return false;
      return !cluster || clusterAnswers(ask);
    };
    const server = serverProcess({ program, args, folder, watchdog, answers });
    const credentials = password === undefined ? '' : `:${encodeURIComponent(password)}@`;
    return started(server, { url: `redis://${credentials}127.0.0.1:${port}`, port, folder });
  });
}

/**
 * @param {PostgresOptions} [options]
 * @returns {Promise<PrivateServer>}
 */
export async function startPostgres({ maxConnections = 100 } = {}) {
  return inFolder('QUIT', async (folder, watchdog) => {
    const { uid, gid } = postgresUser;
    if (uid !== undefined && gid !== undefined) chownSync(folder, uid, gid);
    const { initdb, postgres } = await postgresPrograms(folder);
    const data = join(folder, 'data');
    const { file, ...options } = initdb;
    const account = ['--username=postgres', '--auth=trust'];
    await execFile(file, ['-D', data, ...account, '--locale=C', '--encoding=UTF8', '--no-sync'], options);
    const port = await freePort();
    const args = postgresArguments({ port, data, maxConnections });
    // Postgres calls a stop that does not wait for its clients SIGINT; its SIGTERM waits until they have all gone.
    const signals = /** @type {const} */ ({ SIGTERM: 'SIGINT' });
    const answers = (/** @type {number} */ pid) => postgresAnswers(data, pid);
    const server = serverProcess({ program: postgres, args, folder, watchdog, signals, answers });
    return started(server, { url: `postgres://postgres@127.0.0.1:${port}/postgres`, port, folder });
  });
}

/**
 * @param {'TERM' | 'QUIT'} end
 * @param {(folder: string, watchdog: import('./server-process.mjs').Watchdog) => Promise<PrivateServer>} start
 * @returns {Promise<PrivateServer>}
 */
async function inFolder(end, start) {
  if (process.platform === 'win32') throw new Error('Windows has no signals by which to freeze and end a server.');
  const folder = mkdtempSync(join(tmpdir(), 'vast-webhook-'));
  const watchdog = await watchFolder(folder, end);
  try {
    return await start(folder, watchdog);
  } catch (error) {
    await watchdog.release();
    throw error;
  }
}

/**
 * @param {ReturnType<typeof serverProcess>} server
 * @param {{ url: string, port: number, folder: string }} address
 * @returns {Promise<PrivateServer>}
 */
async function started(server, address) {
  await server.start();
  return {
    ...address,
    get pid() {
      return server.runningPid();
    },
    async freeze() {
      await server.freeze();
    },
    thaw: server.thaw,
    stop: (signal = 'SIGTERM') => server.stop(signal),
    start: server.start,
    close: server.close,
  };
}

/**
 * Below the range that the system takes for outgoing connections: else a client that tries again and again while the
 * server is stopped may be given its port, and the server cannot start again.
 *
 * @returns {Promise<number>}
 */
async function freePort(cluster = false) {
  const port = 10_000 + Math.floor(Math.random() * 10_000);
  // Where Redis has the nodes of a cluster talk to each other.
  const bus = port + 10_000;
  const free = (await isFree(port)) && (!cluster || (await isFree(bus)));
  return free ? port : freePort(cluster);
}

/** @param {number} port */
async function isFree(port) {
  const probe = createServer().listen(port, '127.0.0.1');
  try {
    await once(probe, 'listening');
  } catch {
    return false;
  }
  probe.close();
  await once(probe, 'close');
  return true;
}

// ---------------------------------------------------------------- Redis

/** @param {{ port: number, folder: string } & RedisOptions} options */
function redisArguments({ port, folder, password, cluster, appendfsync }) {
  const settings = {
    port: `${port}`,
    bind: '127.0.0.1',
    dir: folder,
    appendonly: 'yes',
    appendfsync: `${appendfsync}`,
    save: '',
    'maxmemory-policy': 'noeviction',
    ...(password !== undefined && { requirepass: password }),
    // A node that has met no other does not know its own address, and would send clients none.
    ...(cluster && { 'cluster-enabled': 'yes', 'cluster-announce-ip': '127.0.0.1' }),
  };
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
}

/**
 * Whether all slots are served; a new node is given them.
 *
 * @param {(...commands: string[][]) => Promise<string>} ask
 */
async function clusterAnswers(ask) {
  const info = await ask(['CLUSTER', 'INFO']);
  if (info.includes('cluster_slots_assigned:0\r\n')) {
    await ask(['CLUSTER', 'ADDSLOTS', ...Array.from({ length: slots }, (_, slot) => `${slot}`)]);
  }
  return info.includes('cluster_state:ok\r\n');
}

/**
 * The server's replies to the commands, or undefined without a reply.
 *
 * @param {number} port
 * @param {string[][]} commands
 */
function redisReplies(port, commands) {
  const socket = connect(port, '127.0.0.1');
  socket.setTimeout(1000, () => socket.destroy(new Error('timed out')));
  socket.write([...commands, ['QUIT']].map(redisCommand).join(''));
  return text(socket).catch(() => '');
}

/** @param {string[]} words */
function redisCommand(words) {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;
}

// ---------------------------------------------------------------- Postgres

/** @param {{ port: number, data: string, maxConnections: number }} options */
function postgresArguments({ port, data, maxConnections }) {
  const settings = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: maxConnections,
    fsync: 'on',
    // In its folder: in /dev/shm they would stay behind when it is killed.
    dynamic_shared_memory_type: 'mmap',
  };
  return ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
}

/**
 * Its lock file says whose it is and, on the eighth line, that it takes connections: so does pg_ctl wait for it.
 *
 * @param {string} data
 * @param {number} pid
 */
async function postgresAnswers(data, pid) {
  const lines = (await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n');
  return lines[0] === `${pid}` && lines[7]?.trim() === 'ready';
}
