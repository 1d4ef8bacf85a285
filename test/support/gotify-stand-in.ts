import { isText, jsonOf, type ServiceServer, standInServer } from './stand-in-server.js';

export interface GotifyStandInMessage {
  readonly title?: string;
  readonly message: string;
  readonly priority?: number;
  readonly extras?: Readonly<Record<string, unknown>>;
}

/** `POST /message` of gotify/server. A text of more than 65,535 bytes does not fit into a column of MySQL. */
export function gotifyStandIn(): Promise<ServiceServer<GotifyStandInMessage>> {
  const token = 'AsecretGOTIFY.t';
  const refused = (status: number, refusal: string) => ({
    answer: [status, { error: 'Refused', errorCode: status, errorDescription: refusal }] as const,
    refusal,
  });
  return standInServer(token, (request) => {
    if (request.method !== 'POST' || request.url !== '/message') return refused(404, 'page not found');
    if (request.headers['x-gotify-key'] !== token) return refused(401, 'no valid access token');
    const { title = '', message, priority = 0, extras = {} } = jsonOf(request);
    if (typeof title !== 'string' || !isText(message) || !Number.isInteger(priority)) return refused(400, 'field');
    if (typeof extras !== 'object') return refused(400, 'extras');
    if ([title, message].some((text) => Buffer.byteLength(text) > 65_535)) return refused(500, 'too long for column');
    const taken = jsonOf(request) as unknown as GotifyStandInMessage;
    return { answer: [200, { id: 25, appid: 5, ...taken }], taken };
  });
}
