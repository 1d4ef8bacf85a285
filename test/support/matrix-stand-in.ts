import { isText, jsonOf, type ServiceServer, standInServer } from './stand-in-server.js';

export interface MatrixStandInMessage {
  readonly msgtype: string;
  readonly body: string;
  readonly 'm.mentions'?: object;
}

export const matrixRoom = '!636q39766251:example.com';

/** Sending to a room of a Matrix homeserver, once for each transaction id. */
export function matrixStandIn(): Promise<ServiceServer<MatrixStandInMessage>> {
  const token = 'syt_secretMATRIX_token';
  const events = new Map<string, string>();
  const refused = (status: number, errcode: string) => ({
    answer: [status, { errcode, error: errcode }] as const,
    refusal: errcode,
  });
  return standInServer(token, (request) => {
    const path = /^\/_matrix\/client\/v3\/rooms\/([^/]+)\/send\/m\.room\.message\/([\w.~-]+)$/.exec(request.url ?? '');
    if (request.method !== 'PUT' || path === null) return refused(404, 'M_UNRECOGNIZED');
    if (request.headers.authorization !== `Bearer ${token}`) return refused(401, 'M_UNKNOWN_TOKEN');
    if (decodeURIComponent(path[1] as string) !== matrixRoom) return refused(403, 'M_FORBIDDEN');
    const known = events.get(path[2] as string);
    if (known !== undefined) return { answer: [200, { event_id: known }] };
    const content = jsonOf(request);
    if (!isText(content.body) || !isText(content.msgtype)) return refused(400, 'M_BAD_JSON');
    // Some 6,000 bytes are left for what the server adds: signatures, hashes, and references to other events.
    if (Buffer.byteLength(JSON.stringify(content)) > 65_536 - 6_000) return refused(413, 'M_TOO_LARGE');
    const id = `$event${events.size}`;
    events.set(path[2] as string, id);
    return { answer: [200, { event_id: id }], taken: content as unknown as MatrixStandInMessage };
  });
}
