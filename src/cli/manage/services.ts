/** What the services are called, and what they know. The clients themselves are loaded when one is used. */
export const services = {
  vast: { title: 'Vast.ai', keyName: 'VAST_API_KEY', secretName: 'VAST_WEBHOOK_SECRET', lacks: {} },
  shodai: {
    title: 'Shodai',
    keyName: 'SHODAI_API_KEY',
    secretName: 'SHODAI_WEBHOOK_SECRET',
    lacks: { 'rotate-secret': 'has no call for it: delete the webhook, and create it anew' },
  },
  v0: {
    title: 'v0',
    keyName: 'V0_API_KEY',
    secretName: 'V0_WEBHOOK_TOKEN',
    lacks: {
      'rotate-secret': 'does not sign its deliveries: give the URL another token with "update --url"',
      test: 'has no call for it: send its receiver a request of your own',
    },
  },
} as const satisfies Record<string, ServiceInfo>;

export interface ServiceInfo {
  readonly title: string;
  readonly keyName: string;
  readonly secretName: string;
  /** The verbs that the service has no call for, and what to do instead. */
  readonly lacks: Readonly<Record<string, string>>;
}

export type Service = keyof typeof services;
