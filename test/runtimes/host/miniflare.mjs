// Runs a worker in workerd. Arguments: the worker's file, its compatibility date, and the class to run if it is to be in
// a Durable Object.
import { Miniflare } from 'miniflare';

const [scriptPath, compatibilityDate, className] = process.argv.slice(2);
const common = {
  modules: true,
  compatibilityDate,
  compatibilityFlags: ['nodejs_compat', 'enable_request_signal'],
};
const miniflare = new Miniflare({
  host: '127.0.0.1',
  port: 0,
  workers: className
    ? [
        {
          ...common,
          name: 'front',
          script: 'export default { fetch: (request, { HOST }) => HOST.get(HOST.idFromName("one")).fetch(request) };',
          durableObjects: { HOST: { className, scriptName: 'host' } },
        },
        { ...common, name: 'host', scriptPath, durableObjects: { HOST: { className, useSQLite: true } } },
      ]
    : [
        {
          ...common,
          name: 'host',
          scriptPath,
          d1Databases: ['DB'],
          bindings: { DATABASE_URL: process.env.DATABASE_URL ?? '' },
        },
      ],
});
console.log(`port ${(await miniflare.ready).port}`);
process.on('SIGTERM', () => miniflare.dispose().then(() => process.exit(0)));
