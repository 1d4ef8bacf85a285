/** The parts of `scheme://user:password@host:port/path?name=value`, decoded. */
export interface Address {
  readonly scheme: string;
  readonly user: string;
  readonly password: string;
  /** With the port, if there is one. */
  readonly host: string;
  readonly path: readonly string[];
  readonly parameters: Readonly<Record<string, string>>;
}

/**
 * Takes an address apart. Not with `URL`, because Apprise's addresses have colons, `@` and `#` where `URL` refuses them
 * or reads something else: `tgram://123:TOKEN/@channel`. Undefined if it is no address.
 */
export function addressIn(text: string): Address | undefined {
  const match = /^([a-z][a-z\d+.-]*):\/\/(?:([^/?]*)@)?([^/?@]*)([^?]*)(?:\?(.*))?$/is.exec(text);
  if (match === null) return undefined;
  const [, scheme = '', userInfo = '', host = '', path = '', query = ''] = match;
  const colon = userInfo.indexOf(':');
  const [user, password] = colon < 0 ? [userInfo, ''] : [userInfo.slice(0, colon), userInfo.slice(colon + 1)];
  return {
    scheme: scheme.toLowerCase(),
    user: decoded(user),
    password: decoded(password),
    host: decoded(host),
    path: path.split('/').filter(Boolean).map(decoded),
    // A mail address may have a +, which would be read as a space.
    parameters: Object.fromEntries(new URLSearchParams(query.replaceAll('+', '%2B'))),
  };
}

/** Shorter parts, such as a topic, would be taken out of other texts, too. */
const shortestSecret = 12;

/** What must not appear in a log: the address, and each long part of it that is no host. */
export function secretsInAddress(text: string): readonly string[] {
  const parts = text.split(/[/?&=@:#]+/).filter((part) => !/^([a-z\d-]+\.)+[a-z\d-]+$/i.test(part));
  const secrets = [...parts, ...parts.map(decoded)].filter((part) => part.length >= shortestSecret);
  return [...new Set([text, ...secrets])];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
