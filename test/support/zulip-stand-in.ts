import { type ServiceServer, standInServer } from './stand-in-server.js';

export interface ZulipStandInMessage {
  readonly type: string;
  readonly to: unknown;
  readonly topic?: string;
  readonly content: string;
}

export const zulipBot = 'vast-bot@example.zulipchat.com';

/** `POST /api/v1/messages` of Zulip, which knows the channels `alerts` and 7. */
export function zulipStandIn(): Promise<ServiceServer<ZulipStandInMessage>> {
  const token = 'secretZULIPapiKey0123456789abcdef';
  const refused = (status: number, code: string, msg = code) => ({
    answer: [status, { result: 'error', msg, code }] as const,
    refusal: msg,
  });
  const authorization = `Basic ${Buffer.from(`${zulipBot}:${token}`).toString('base64')}`;
  return standInServer(token, ({ method, url, headers, body }) => {
    if (method !== 'POST' || url !== '/api/v1/messages') return refused(404, 'NOT_FOUND');
    if (headers.authorization !== authorization) return refused(401, 'INVALID_API_KEY');
    if (!headers['content-type']?.startsWith('application/x-www-form-urlencoded'))
      return refused(400, 'BAD_REQUEST', 'form');
    const { type = '', to = '', topic, content = '' } = Object.fromEntries(new URLSearchParams(body));
    const recipient: unknown = JSON.parse(to);
    if (type === 'stream' && recipient !== 'alerts' && recipient !== 7) return refused(400, 'STREAM_DOES_NOT_EXIST');
    if (type === 'stream' && (topic === undefined || topic.trim() === '')) return refused(400, 'MISSING_TOPIC');
    if (type === 'stream' && ([...(topic ?? '')].length > 60 || /[\p{Cc}\p{Cs}\p{Cn}]/u.test(topic ?? ''))) {
      return refused(400, 'BAD_REQUEST', 'topic');
    }
    if (type === 'direct' && !(Array.isArray(recipient) && topic === undefined))
      return refused(400, 'BAD_REQUEST', 'to');
    if (!['stream', 'direct'].includes(type)) return refused(400, 'BAD_REQUEST', 'type');
    if (content.trim() === '' || content.includes('\0')) return refused(400, 'BAD_REQUEST', 'content');
    if (Buffer.byteLength(content) > 10_000 || content.includes('\uFFFD…'))
      return refused(400, 'BAD_REQUEST', 'length');
    return {
      answer: [200, { result: 'success', msg: '', id: 42 }],
      taken: { type, to: recipient, content, ...(topic !== undefined && { topic }) },
    };
  });
}
