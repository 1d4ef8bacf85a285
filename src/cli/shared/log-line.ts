import { printableJson } from './print.js';

export type Level = 'info' | 'warn' | 'error';

/** One line of a JSON log, without its line break. */
export function jsonLogLine(level: Level, message: string, fields: object = {}): string {
  return printableJson({ time: new Date().toISOString(), level, message, ...fields });
}

/** Whether `serve` was called with `--log json`, also where its arguments are wrong otherwise. */
export function asksForJsonLog([subcommand, ...args]: readonly string[]): boolean {
  if (subcommand !== 'serve') return false;
  return args.some((arg, index) => arg === '--log=json' || (arg === '--log' && args[index + 1] === 'json'));
}
