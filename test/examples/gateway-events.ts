import type { SignedDelivery } from '../../src/testing/index.js';

export interface GatewayOptions {
  /** Of the route, with whatever stands before it. */
  readonly path?: string;
  readonly method?: string;
  readonly base64?: boolean;
  /** How API Gateway spells a header. */
  readonly nameOf?: (name: string) => string;
  /** Headers that were sent more than once. */
  readonly repeated?: Readonly<Record<string, readonly string[]>>;
}

/** What an HTTP API or a function URL gives a function, in payload format 2.0: repeated headers are joined by commas. */
export function httpApiEvent(delivery: SignedDelivery, options: GatewayOptions): object {
  const { path = '/vast/webhooks', method = 'POST' } = options;
  return {
    version: '2.0',
    routeKey: 'POST /vast/webhooks',
    rawPath: path,
    rawQueryString: '',
    headers: mapped(headersOf(delivery, options), (values) => values.join(',')),
    requestContext: {
      accountId: '123456789012',
      apiId: 'r3pmxmplak',
      domainName: 'r3pmxmplak.execute-api.us-east-2.amazonaws.com',
      domainPrefix: 'r3pmxmplak',
      http: { method, path, protocol: 'HTTP/1.1', sourceIp: '205.255.255.176', userAgent: 'Vast' },
      requestId: 'JKJaXmPLvHcESHA=',
      routeKey: 'POST /vast/webhooks',
      stage: '$default',
      time: '10/Mar/2026:05:16:23 +0000',
      timeEpoch: 1583817383220,
    },
    ...bodyOf(delivery, options),
  };
}

/** What a REST API with the proxy integration gives a function: of repeated headers, `headers` holds the last value. */
export function restApiEvent(delivery: SignedDelivery, options: GatewayOptions): object {
  const { path = '/vast/webhooks', method = 'POST' } = options;
  const headers = headersOf(delivery, options);
  return {
    resource: '/vast/webhooks',
    path,
    httpMethod: method,
    headers: mapped(headers, (values) => values.at(-1)),
    multiValueHeaders: headers,
    queryStringParameters: null,
    multiValueQueryStringParameters: null,
    pathParameters: null,
    stageVariables: null,
    requestContext: {
      accountId: '123456789012',
      apiId: '70ixmpl4fl',
      domainName: '70ixmpl4fl.execute-api.us-east-2.amazonaws.com',
      httpMethod: method,
      identity: { sourceIp: '52.255.255.12', userAgent: 'Vast' },
      path: `/prod${path}`,
      protocol: 'HTTP/1.1',
      requestId: 'e1506fd5-9e7b-434f-bd42-4f8fa224b599',
      resourcePath: '/vast/webhooks',
      stage: 'prod',
    },
    ...bodyOf(delivery, options),
  };
}

function headersOf({ headers }: SignedDelivery, { nameOf = (name) => name, repeated }: GatewayOptions) {
  const all = mapped({ ...headers, Host: 'execute-api.test' }, (value) => [value] as readonly string[]);
  return Object.fromEntries(Object.entries({ ...all, ...repeated }).map(([name, values]) => [nameOf(name), values]));
}

function bodyOf({ body }: SignedDelivery, { base64 = false }: GatewayOptions) {
  return { body: base64 ? Buffer.from(body).toString('base64') : body, isBase64Encoded: base64 };
}

function mapped<From, To>(record: Readonly<Record<string, From>>, to: (value: From) => To): Record<string, To> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, to(value)]));
}
