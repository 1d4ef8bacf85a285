/** What a Slack address leads to, by its path. Undefined for another host, such as a proxy of one's own. */
export function slackAddressKind(url: string): 'incoming webhook' | 'workflow' | undefined {
  const { hostname, pathname } = URL.canParse(url) ? new URL(url) : new URL('none:');
  if (!/^hooks\.slack(-gov)?\.com$/.test(hostname)) return undefined;
  if (pathname.startsWith('/services/')) return 'incoming webhook';
  return /^\/(triggers|workflows)\//.test(pathname) ? 'workflow' : undefined;
}
