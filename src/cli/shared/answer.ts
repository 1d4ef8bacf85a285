import type { ClientRequest, IncomingHttpHeaders } from 'node:http';

/** How a request was answered. */
export interface Answer {
  /** 0 if there was no answer. */
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** The beginning of the body. */
  readonly body: string;
  /** When the head of the answer arrived, in Unix milliseconds. */
  readonly headAt: number;
  /** Why there was no answer: a code of Node.js, such as ECONNREFUSED. */
  readonly error?: string;
}

/** Sends the body and reads the answer, of which it keeps `maxLength` characters. Does not reject. */
export function answerTo(request: ClientRequest, body: string | Buffer, maxLength: number): Promise<Answer> {
  return new Promise((resolve) => {
    const fail = (error: NodeJS.ErrnoException) => resolve(noAnswer(error));
    request.on('error', fail);
    // Without an error where the answer is another protocol, which nobody has asked for.
    const endedEarly = () => resolve(noAnswer({ code: 'ECONNRESET' }));
    request.on('close', endedEarly);
    request.on('response', (response) => {
      request.off('close', endedEarly);
      const { statusCode: status = 0, headers } = response;
      if (status < 200) {
        request.destroy();
        resolve(noAnswer({ code: 'HPE_INVALID_STATUS' }));
        return;
      }
      const headAt = Date.now();
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        if (text.length < maxLength) text += part;
      });
      response.on('end', () => resolve({ status, headers, body: text.slice(0, maxLength), headAt }));
      response.on('error', fail);
    });
    request.end(body);
  });
}

export function noAnswer({ code = 'unknown error' }: Pick<NodeJS.ErrnoException, 'code'>): Answer {
  return { status: 0, headers: {}, body: '', headAt: 0, error: code };
}
