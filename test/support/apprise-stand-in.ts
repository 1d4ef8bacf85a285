import { isText, jsonOf, type ServiceServer, standInServer } from './stand-in-server.js';

export interface AppriseStandInMessage {
  readonly title: string;
  readonly body: string;
  readonly type: string;
  readonly format: string;
  readonly tag?: string;
}

/** `POST /notify/KEY` of an Apprise API server. The key `empty` has no configuration; services of the tag `broken` fail. */
export function appriseStandIn(): Promise<ServiceServer<AppriseStandInMessage>> {
  const token = 'secretAPPRISEkey';
  const path = `/notify/${token}`;
  const refused = (status: number, error: string) => ({ answer: [status, { error }] as const, refusal: error });
  return standInServer(
    token,
    (request) => {
      if (request.method !== 'POST') return refused(405, 'method');
      if (request.url === '/notify/empty') return { answer: [204, ''], refusal: 'There was no configuration found' };
      if (request.url !== path) return refused(404, 'not found');
      const { title = '', body, type = 'info', format = 'text', tag, ...others } = jsonOf(request);
      if (Object.keys(others).length > 0) return refused(400, `fields ${Object.keys(others).join()}`);
      if (![title, type].every((text) => typeof text === 'string')) return refused(400, 'The field must be a string');
      if (!isText(body) || !['info', 'success', 'warning', 'failure'].includes(type as string)) {
        return refused(400, 'Payload lacks minimum requirements');
      }
      if (!['text', 'markdown', 'html'].includes(format as string)) return refused(400, 'invalid body input format');
      if (tag === 'broken') return refused(424, 'One or more notification could not be sent');
      return {
        answer: [200, { error: null, details: [] }],
        taken: jsonOf(request) as unknown as AppriseStandInMessage,
      };
    },
    path,
  );
}
