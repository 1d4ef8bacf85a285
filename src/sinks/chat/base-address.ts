import { checkAddress } from '../service-address.js';

/**
 * The address of an endpoint below the address of a server, which may have a path. An address that is none is returned
 * unchanged, because `poster` refuses it. Throws a `TypeError` for the address of another service, and for
 * one that has a query or the endpoint's path already. The text does not repeat it, because it may have a token.
 */
export function baseOf(service: string, server: unknown, endpoint: string, advice: string): string {
  if (typeof server !== 'string' || !URL.canParse(server)) return server as string;
  checkAddress(service, server);
  const { search, hash, pathname } = new URL(server);
  const path = pathname.replace(/\/+$/, '');
  if (search || hash || `${path}/`.includes(`/${endpoint.split('/')[0]}/`)) {
    throw new TypeError(`${service}: this is the address of something else: ${advice}`);
  }
  return `${server.replace(/\/+$/, '')}/${endpoint}`;
}
