import { type Finding, problem } from './finding.js';
import type { Probed } from './probe.js';

/** What keeps a delivery from the service behind, as a finding; undefined when the service itself has answered. */
export function obstacleIn(url: URL, probed: Probed): Finding | undefined {
  return unreachable(url, probed) ?? redirected(probed) ?? refused(url, probed);
}

const failures: Readonly<Record<string, readonly [detail: string, cure: string]>> = {
  timeout: [
    'there was no answer in time',
    'look whether the service hangs (a handler that never ends its response), or a firewall drops packets',
  ],
  ECONNREFUSED: ['nothing listens there', 'start the service, and compare its port with that of the URL or the tunnel'],
  ECONNRESET: ['the connection was cut', 'look at the log of the proxy in front: it may speak another protocol'],
  EHOSTUNREACH: ['there is no route to the host', 'look at the DNS record and the firewall'],
  ENETUNREACH: ['there is no route to the host', 'look at the DNS record and the firewall'],
  ETIMEDOUT: ['the host does not take connections', 'open the port in the firewall'],
  ENOTFOUND: ['the name does not resolve', 'look at the DNS record'],
  EPROTO: ['the port does not speak TLS', 'put TLS in front, or look at the port'],
  ERR_SSL_WRONG_VERSION_NUMBER: ['the port does not speak TLS', 'put TLS in front, or look at the port'],
  CERT_HAS_EXPIRED: ['its certificate has expired', 'renew it, and see to it that the server loads the new one'],
  DEPTH_ZERO_SELF_SIGNED_CERT: ['its certificate is self-signed', "get one that is trusted publicly (Let's Encrypt)"],
  SELF_SIGNED_CERT_IN_CHAIN: [
    'its certificate comes from an authority of your own',
    "get one that is trusted publicly (Let's Encrypt)",
  ],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: [
    'its certificate comes without the intermediate one, which browsers look up and senders do not',
    'give the server the full chain (fullchain.pem)',
  ],
  ERR_TLS_CERT_ALTNAME_INVALID: ['its certificate is for another name', 'get one for the host in the URL'],
};

const ownProxy = [
  "this machine's proxy made no connection",
  'look at HTTPS_PROXY and its password, and at what the proxy lets through; NO_PROXY names hosts to reach without it',
] as const;

const otherFailure = ['the connection failed', 'look whether the service runs, and at the proxy in front'] as const;

function unreachable({ host }: URL, { failure }: Probed): Finding | undefined {
  if (failure === undefined) return undefined;
  const [detail, cure] = failures[failure] ?? (failure.startsWith('PROXY_') ? ownProxy : otherFailure);
  return problem('reach', `${host}: ${detail} (${failure})`, cure);
}

function redirected({ status, headers }: Probed): Finding | undefined {
  if (status < 300 || status > 399) return undefined;
  const { location = 'nowhere' } = headers;
  // A query may hold a token.
  const target = location.replace(/\?.*$/s, '?…');
  const isLogin = /login|signin|auth|sso|access/i.test(location);
  return problem(
    'redirect',
    `it answers ${status} to ${target}, and Vast.ai does not follow redirects: every event is lost`,
    isLogin
      ? 'exempt the path from the login: the signature is what protects it'
      : 'register the URL that it leads to (mind http or https, www and a trailing slash)',
  );
}

const cures: Readonly<Record<number, string>> = {
  401: 'exempt the path from the password: the signature is what protects it',
  403: 'let POSTs to this path through without a challenge (firewall rules, bot protection, IP lists)',
  404: 'compare the path with the one that the service has (/vast/webhooks by default)',
  405: 'let the path take POST: it may be served as a static file, or by another service',
  406: 'let POSTs to this path through (firewall rules)',
  411: 'let bodies through as they are sent',
  413: 'raise the limit for bodies: an event has less than 1 KB (nginx: client_max_body_size)',
  415: 'let application/json through, and compress no requests',
  429: 'exempt the path from the rate limit',
  502: 'the proxy does not reach the service: look whether it runs, and on which port',
  503: 'the proxy finds no healthy service: look whether it runs, and at its health check',
  504: 'the service behind takes too long: answer at once and do the work later',
};

const proxyHeaders = ['cf-mitigated', 'ngrok-error-code', 'x-vercel-error', 'x-amzn-waf-action'];

function refused({ pathname }: URL, { status, headers, body }: Probed): Finding | undefined {
  if (ownCode(body) !== undefined) return undefined;
  const isHtml = /\bhtml\b/.test(headers['content-type'] ?? '') || /^\s*<(!doctype|html)/i.test(body);
  const marker = proxyHeaders.find((name) => headers[name] !== undefined);
  const asksForPassword = status === 401 && headers['www-authenticate'] !== undefined;
  const isProxys = [404, 405, 411, 413, 502, 504].includes(status);
  if (!isHtml && !isProxys && !asksForPassword && marker === undefined) return undefined;
  const server = headers.server ? `server: ${headers.server}` : 'no server header';
  const by = marker === undefined ? server : `${server}, ${marker}`;
  if (status >= 200 && status < 300) {
    return problem(
      'proxy',
      `it answers ${status} with a web page (${by}): that is not the service`,
      cures[404] as string,
    );
  }
  const what = status === 404 ? `there is nothing at ${pathname}` : 'something in front of the service refuses';
  return problem(
    'proxy',
    `${what}: ${status}${isHtml ? ' with a web page' : ''} (${by})`,
    cures[status] ?? 'look at the log of the proxy in front',
  );
}

/** The code in an answer of this package. */
export function ownCode(body: string): string | undefined {
  try {
    const { ok, error } = Object(JSON.parse(body)) as { ok?: unknown; error?: unknown };
    return ok === false && typeof error === 'string' ? error : undefined;
  } catch {
    return undefined;
  }
}
