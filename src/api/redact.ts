const mark = '[redacted]';
const uuid = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;

/**
 * Redacts secrets in a service's text: the key of the call, anything that looks like a key or a signing secret, and the
 * values in a URL's query, where webhooks have their tokens. Each pattern runs in linear time.
 */
export function redactor(apiKey: string): (text: string) => string {
  const forms = [apiKey, encodeURIComponent(apiKey)].map((form) => form.replace(/[^\w]/g, '\\$&'));
  const key = new RegExp(forms.join('|'), 'gi');
  return (text) =>
    text
      .replace(key, mark)
      .replace(/\b(Bearer|Basic)\s+\S+/gi, `$1 ${mark}`)
      .replace(/\b(?:cns_pk|whsec)_\w+/gi, mark)
      .replace(/\b(\w*secret|authorization|x-api-key)\b(["']?\s?[:=]\s?["']?)[^\s"',;]+/gi, `$1$2${mark}`)
      .replace(/([?&][^\s?&=]+=)[^\s?&"'<>]+/g, `$1${mark}`)
      .replace(/[\w+=-]{32,}/g, (token) => (uuid.test(token) ? token : mark));
}
