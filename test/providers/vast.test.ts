import { describe, expect, it } from 'vitest';
import { summarized } from '../../src/contracts/delivery.js';
import { type VastTypeInfo, vastTypes } from '../../src/index.js';
import { eventFormat } from '../../src/providers/index.js';
import { vast, vastTypeInfo } from '../../src/providers/vast.js';
import { sampleEvent } from '../../src/testing/index.js';

/** The live list of 2026-08-27, and types that are delivered without being listed. */
const host = [
  'machine_offline',
  'machine_unverified',
  'machine_error',
  'receive_reports',
  'low_disk_space',
  'near_end_date',
  'maintenance_scheduled',
];
const client = [
  'instance_created',
  'instance_started',
  'instance_stopped',
  'instance_resumed',
  'instance_deleted',
  'instance_offline',
  'instance_online',
  'outbid',
  'machine_maintenance',
  'upcoming_downtime',
  'error_msgs',
  'low_disk_space',
  'storage_full',
  'idle_gpu',
  'near_end_date',
  'new_end_date',
  'low_credit',
  'payment_receipt',
  'credit_received',
  'billing_failed',
  'email_verification',
  'password_reset',
  'email_change',
  'team_invitation',
];

const fromVast = { provider: 'vast' };
const catalogue = Object.entries<VastTypeInfo>(vastTypes);
const slugsOf = (context: 'client' | 'host') =>
  catalogue.filter(([, { contexts }]) => contexts.includes(context)).map(([slug]) => slug);

describe('the catalogue of Vast.ai types', () => {
  it('has the 31 keys of the live list, by context', () => {
    expect(slugsOf('host').sort()).toEqual([...host].sort());
    expect(slugsOf('client').sort()).toEqual([...client].sort());
    expect(host.length + client.length).toBe(31);
  });

  it('has webhook_test, which is in no context, and nothing else', () => {
    expect(catalogue.filter(([, { contexts }]) => contexts.length === 0).map(([slug]) => slug)).toEqual([
      'webhook_test',
    ]);
    expect(Object.keys(vastTypes).sort()).toEqual([...new Set([...host, ...client, 'webhook_test'])].sort());
  });

  it.each(catalogue)('gives %s a topic and a severity', (_slug, { topic, severity }) => {
    expect(['account', 'billing', 'instances', 'machines', 'test']).toContain(topic);
    expect(['info', 'warning', 'error', 'critical']).toContain(severity);
  });

  it.each(catalogue)('gives %s the topic of its context', (_slug, { contexts, topic }) => {
    if (contexts.length === 1 && contexts[0] === 'host') expect(topic).toBe('machines');
    if (contexts.length === 1 && contexts[0] === 'client') expect(topic).not.toBe('machines');
    expect(topic === 'test').toBe(contexts.length === 0);
  });

  it('knows no type by the names that every object has', () => {
    for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty', '']) {
      expect(vastTypeInfo(name)).toBeUndefined();
    }
    expect(vastTypeInfo('outbid')).toBe(vastTypes.outbid);
  });
});

describe('the console link of a type', () => {
  const urlOf = (notif_type: unknown) => summarized({ ...sampleEvent('outbid'), notif_type }, fromVast).url;
  const links: Readonly<Record<string, string>> = {
    low_credit: '/billing/',
    billing_failed: '/billing/',
    payment_receipt: '/billing/',
    outbid: '/instances/',
    upcoming_downtime: '/instances/',
    machine_offline: '/host/machines/',
    machine_error: '/host/machines/',
    maintenance_scheduled: '/host/machines/',
  };

  it.each(Object.keys(vastTypes))('is that of the guides: %s', (type) => {
    const link = type.startsWith('instance_') ? '/instances/' : (links[type] ?? '/');
    expect(urlOf(type)).toBe(`https://cloud.vast.ai${link}`);
  });

  it.each([
    ['instance_teleported', '/instances/'],
    ['instance_', '/instances/'],
    ['instance', '/'],
    ['my_instance_started', '/'],
    ['INSTANCE_STARTED', '/'],
    ['machine_on_fire', '/'],
    ['constructor', '/'],
    ['', '/'],
    [undefined, '/'],
    [7, '/'],
    [null, '/'],
  ])('of %j, which is in no list, is %s', (type, link) => {
    expect(urlOf(type)).toBe(`https://cloud.vast.ai${link}`);
  });
});

describe('the summary of an event', () => {
  it('has its texts, type and severity', () => {
    const event = sampleEvent('billing_failed');
    expect(summarized(event, fromVast)).toEqual({
      subject: event.subject,
      message: event.message,
      type: 'billing_failed',
      severity: 'critical',
      url: 'https://cloud.vast.ai/billing/',
    });
  });

  it('shows other values as JSON, the payload in place of a message, and an unknown type as informative', () => {
    const event = { subject: 7, message: null, notif_type: ['outbid'] };
    expect(summarized(event, fromVast)).toEqual({
      subject: '7',
      message: JSON.stringify(event),
      type: '["outbid"]',
      severity: 'info',
      url: 'https://cloud.vast.ai/',
    });
  });
});

describe('dialectOf', () => {
  it('finds a provider by its name only', () => {
    expect(eventFormat('vast')).toBe(vast);
    for (const name of ['', 'Vast', 'constructor', '__proto__']) expect(() => eventFormat(name)).toThrow(TypeError);
  });
});
