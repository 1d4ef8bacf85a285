import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import { type Finding, ok, problem, skipped } from './finding.js';

/** Ranges that the internet does not route to (IANA's special-purpose address registries). */
const ranges: readonly (readonly [name: string, ...subnets: string[]])[] = [
  ['this machine itself (loopback)', '127.0.0.0/8', '::1/128', '0.0.0.0/8', '::/128'],
  ['a private network', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
  ['the network of a provider that shares addresses (CGNAT)', '100.64.0.0/10'],
  ['link-local', '169.254.0.0/16', 'fe80::/10'],
  [
    'reserved, and nowhere on the internet',
    '192.0.0.0/24',
    '192.0.2.0/24',
    '198.18.0.0/15',
    '198.51.100.0/24',
    '203.0.113.0/24',
    '224.0.0.0/4',
    '240.0.0.0/4',
    '100::/64',
    '2001:db8::/32',
    'ff00::/8',
  ],
];

const lists = ranges.map(([name, ...subnets]) => {
  const list = new BlockList();
  for (const subnet of subnets) {
    const [network = '', bits] = subnet.split('/');
    list.addSubnet(network, Number(bits), familyOf(network));
  }
  return { name, list };
});

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4';
}

/** Where an address is, when it is not on the internet. */
export function notPublic(address: string): string | undefined {
  return lists.find(({ list }) => list.check(address, familyOf(address)))?.name;
}

const tunnel = 'use a public address; for a service on your own machine a tunnel gives one (cloudflared, ngrok)';

/** Whether Vast.ai would take the URL, by its form. */
export function judgeUrl({ protocol, username, password, hostname }: URL, isLocal: boolean): Finding {
  if (username || password) {
    return problem('url', 'it has a user name or password, which Vast.ai does not take', 'take them out of the URL');
  }
  if (protocol === 'https:') return ok('url', `https, host ${hostname}`);
  if (isLocal) return ok('url', `${protocol.slice(0, -1)}, accepted with --local`);
  return problem('url', 'it is not https, and Vast.ai takes nothing else', 'put TLS in front, or use a tunnel');
}

/** Whether the host resolves, and to public addresses only. With `isUnknown` there is nothing to send to. */
export async function judgeAddress(
  { hostname }: URL,
  { isLocal, isProxied }: { readonly isLocal: boolean; readonly isProxied: boolean },
): Promise<Finding & { readonly isUnknown?: true }> {
  const host = hostname.replace(/^\[|\]$/g, '');
  let addresses: readonly string[];
  try {
    addresses = (await lookup(host, { all: true })).map(({ address }) => address);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // In a company's network, often only its proxy can look up names of the internet.
    if (isProxied) return skipped('address', `${host} does not resolve here (${code}): the proxy looks it up`);
    const cure = 'look at the spelling and at the DNS record; a tunnel that has ended takes its name with it';
    return { ...problem('address', `${host} does not resolve (${code})`, cure), isUnknown: true };
  }
  if (isLocal) return skipped('address', 'left out with --local');
  for (const address of addresses) {
    const where = notPublic(address);
    if (where !== undefined) {
      return problem('address', `${host} resolves to ${address}, which is ${where}: Vast.ai cannot reach it`, tunnel);
    }
  }
  return ok('address', `${host} resolves to ${addresses.join(', ')}`);
}
