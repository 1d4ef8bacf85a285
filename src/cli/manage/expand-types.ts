import { closest } from 'fastest-levenshtein';
import { UsageError } from '../shared/errors.js';

/**
 * The full keys for what was asked for: a key (`client:outbid`), its slug where one context has it (`outbid`), a
 * pattern that ends in `*` (`client:*`, `instance_*`), or `all`. Throws for anything else, with the nearest name.
 */
export function expandTypes(asked: readonly string[], keys: readonly string[]): string[] {
  return [...new Set(asked.flatMap((type) => keysFor(type, keys)))];
}

function keysFor(type: string, keys: readonly string[]): readonly string[] {
  if (type === 'all') return keys;
  if (keys.includes(type)) return [type];
  if (type.endsWith('*')) {
    const start = type.slice(0, -1);
    const matching = keys.filter((key) => key.startsWith(start) || slugOf(key).startsWith(start));
    if (matching.length > 0) return matching;
    throw new UsageError(`no type begins with "${start}": "vast-webhook types" lists them`);
  }
  const ofSlug = keys.filter((key) => slugOf(key) === type);
  if (ofSlug.length === 1) return ofSlug;
  if (ofSlug.length > 1) throw new UsageError(`the type "${type}" is in two contexts: say ${ofSlug.join(' or ')}`);
  const nearest = closest(type, type.includes(':') ? keys : [...keys, ...keys.map(slugOf)]);
  throw new UsageError(`there is no type "${type}": do you mean "${nearest}"? ("vast-webhook types" lists them)`);
}

export function slugOf(key: string): string {
  return key.slice(key.indexOf(':') + 1);
}
