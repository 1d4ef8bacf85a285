import type { NamedSecret } from '../secrets/candidates.js';
import { type Finding, ok, problem } from './finding.js';

/** Whether the secret is there, and can be what Vast.ai gave. */
export function judgeSecret(secret: NamedSecret | undefined, apiKey: string | undefined): Finding {
  if (secret === undefined) {
    return problem(
      'secret',
      'there is none',
      'set VAST_WEBHOOK_SECRET in the environment or .env; "vast-webhook create" and "rotate-secret" do it',
    );
  }
  const { from, value } = secret;
  const trimmed = value.trim();
  if (trimmed !== value) {
    return problem(
      'secret',
      `there is white space around it (${from})`,
      'trim it: the middleware refuses to start with it',
    );
  }
  if (/^(["'`]).*\1$/s.test(value)) {
    return problem(
      'secret',
      `there are quotes around it (${from})`,
      'take them away: docker --env-file takes them literally',
    );
  }
  if (/\s|\\[rn]/.test(value)) {
    return problem('secret', `there is white space or \\n within it (${from})`, 'copy it again, in one piece');
  }
  if (value.startsWith('whsec_')) {
    return problem(
      'secret',
      `it begins with whsec_, the form of another service (${from})`,
      'use the one that Vast.ai gave',
    );
  }
  if (/^https?:/.test(value)) return problem('secret', `it is a URL (${from})`, 'use the one that Vast.ai gave');
  if (value === apiKey)
    return problem('secret', `it is the API key (${from})`, 'use the one that the webhook was given');
  return ok('secret', `it is in ${from}, and looks clean`);
}
