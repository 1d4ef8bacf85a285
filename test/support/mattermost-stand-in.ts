import { jsonOf, type ServiceServer, standInServer } from './stand-in-server.js';

export interface MattermostStandInMessage {
  readonly text?: string;
  readonly attachments?: readonly {
    readonly fallback: string;
    readonly color: string;
    readonly title: string;
    readonly title_link: string;
    readonly text: string;
  }[];
  /** Into how many posts Mattermost splits the text. */
  readonly posts: number;
}

/** An incoming webhook of Mattermost. */
export function mattermostStandIn(): Promise<ServiceServer<MattermostStandInMessage>> {
  const token = 'xsecretMATTERMOSTtoken26ch';
  const refused = (status: number, id: string) => ({
    answer: [status, { id, message: 'No', detailed_error: '', request_id: 'r', status_code: status }] as const,
    refusal: id,
  });
  const path = `/hooks/${token}`;
  return standInServer(
    token,
    (request) => {
      if (request.method !== 'POST' || request.url !== path)
        return refused(400, 'web.incoming_webhook.invalid.app_error');
      const { text = '', attachments = [], channel } = jsonOf(request);
      if (channel !== undefined) return refused(403, 'web.incoming_webhook.channel_locked.app_error');
      const isEmpty = text === '' && (attachments as unknown[]).length === 0;
      if (typeof text !== 'string' || isEmpty) return refused(400, 'web.incoming_webhook.text.app_error');
      const texts = [text, ...(attachments as Record<string, unknown>[]).flatMap(Object.values)];
      if (!texts.every((each) => typeof each === 'string' && !/\p{Cs}/u.test(each))) return refused(400, 'text');
      const posts = Math.max(1, Math.ceil([...text].length / 16_383));
      return { answer: [200, 'ok'], taken: { ...(jsonOf(request) as unknown as MattermostStandInMessage), posts } };
    },
    path,
  );
}
