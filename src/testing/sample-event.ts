import { randomBytes } from 'node:crypto';
import type { VastContext, VastEventOf, VastType } from '../providers/vast.js';

/** Worded like real notifications. Do not match on these texts, because the wording changes without notice. */
const texts: Readonly<Record<VastType, readonly [subject: string, message: string]>> = {
  machine_offline: [
    'Your Machine #46110 Is Offline',
    'Your machine 46110 has stopped responding. Instances on it are interrupted until it is back online. View it at https://cloud.vast.ai/host/machines/',
  ],
  machine_unverified: [
    'Your Machine #46110 Is No Longer Verified',
    'Your machine 46110 has lost its verification because its reliability fell below the required level.',
  ],
  machine_error: [
    'Error On Your Machine #46110',
    'Your machine 46110 reports: GPU 3 has fallen off the bus. View it at https://cloud.vast.ai/host/machines/',
  ],
  receive_reports: [
    'A Renter Has Reported Your Machine #46110',
    'A renter has reported a problem with machine 46110: slow network.',
  ],
  maintenance_scheduled: [
    'Maintenance Scheduled For Your Machine #46110',
    'Maintenance of machine 46110 is scheduled to start at 2026-09-01 08:00 UTC and to last 2 hours.',
  ],
  instance_created: [
    'Your Vast.ai Instance #48927380 Has Been Created',
    'Your instance 48927380 on machine 46110 has been created and is loading. View it at: https://cloud.vast.ai/instances/',
  ],
  instance_started: [
    'Your Vast.ai Instance #48927380 Is Now Running',
    'Your instance 48927380 running vastai/pytorch:2.6.0-cuda-12.6.3-py312 on machine 46110 has started. You are being charged $0.031/hr. View it at: https://cloud.vast.ai/instances/',
  ],
  instance_stopped: [
    'Your Vast.ai Instance #48927380 Has Been Stopped',
    'Your instance 48927380 on machine 46110 has been stopped. You are still being charged for its storage.',
  ],
  instance_resumed: [
    'Your Vast.ai Instance #48927380 Is Now Running (Was Scheduling)',
    'Your instance 48927380 on machine 46110 has moved from Scheduling to running — your GPU is now available. View it at https://cloud.vast.ai/instances/.',
  ],
  instance_deleted: [
    'Your Vast.ai Instance #48927380 Has Been Deleted',
    'Your instance 48927380 on machine 46110 has been deleted, and its data with it.',
  ],
  instance_offline: [
    'Your Vast.ai Instance #48927380 Is Offline',
    'Your instance 48927380 is offline because machine 46110 has stopped responding. You are not charged for GPU time meanwhile.',
  ],
  instance_online: [
    'Your Vast.ai Instance #48927380 Is Back Online',
    'Machine 46110 is responding again, and your instance 48927380 with it.',
  ],
  outbid: [
    'Your Interruptible Instance #48927380 Has Been Outbid',
    'Your interruptible instance 48927380 on machine 46110 has been outbid and will be stopped. Your bid was $0.03/hr and the current minimum bid is $0.06/hr. Update your bid at https://cloud.vast.ai/instances/ to keep it running.',
  ],
  machine_maintenance: [
    'Maintenance Of The Machine Of Your Instance #48927380',
    'The host of machine 46110, which runs your instance 48927380, has started maintenance.',
  ],
  upcoming_downtime: [
    'Upcoming Downtime For Your Instance #48927380',
    'Machine 46110, which runs your instance 48927380, will be down from 2026-09-01 08:00 UTC for 2 hours.',
  ],
  error_msgs: [
    'Error On Your Vast.ai Instance #48927380',
    'Your instance 48927380 could not start: failed to pull image vastai/pytorch:latest.',
  ],
  storage_full: [
    'The Storage Of Your Instance #48927380 Is Full',
    'Your instance 48927380 has used all of its 32 GB of storage and may fail.',
  ],
  idle_gpu: [
    'Your Instance #48927380 Is Idle',
    'The GPU of your instance 48927380 has been idle for 6 hours. You are being charged $0.031/hr.',
  ],
  new_end_date: [
    'New End Date For Your Instance #48927380',
    'The rental of your instance 48927380 on machine 46110 now ends on 2026-12-31.',
  ],
  low_disk_space: ['Disk Space Is Getting Low', 'Less than 5% of the disk of machine 46110 is free.'],
  near_end_date: [
    'The Rental On Machine #46110 Ends Soon',
    'The rental on machine 46110 ends on 2026-09-01. Data on it will be deleted.',
  ],
  low_credit: [
    'Warning - Your Vast.ai Credit Balance Is Getting Low',
    'Your Vast.ai balance is below your configured threshold.',
  ],
  payment_receipt: ['Your Vast.ai Payment Receipt', 'We have received your payment of $25.00. Thank you.'],
  credit_received: ['You Have Received Vast.ai Credit', 'A credit of $5.00 has been added to your account.'],
  billing_failed: [
    'Your Vast.ai Payment Has Failed',
    'Your card ending in 4242 was declined. Update your payment method at https://cloud.vast.ai/billing/ to keep your instances running.',
  ],
  email_verification: [
    'Verify Your Vast.ai Email Address',
    'Follow the link that was sent to you by email to verify your address.',
  ],
  password_reset: ['Your Vast.ai Password Reset', 'A password reset was requested for your account.'],
  email_change: ['Your Vast.ai Email Address Has Been Changed', 'The email address of your account has been changed.'],
  team_invitation: ['You Have Been Invited To A Vast.ai Team', 'You have been invited to join the team Example.'],
  webhook_test: ['Vast.ai webhook test', 'This is a test event triggered from the Vast.ai webhook console.'],
};

/**
 * Makes a realistic event of a type, with a new id each time. The type may start with its context, as in the management
 * API (`client:outbid`). Throws a `TypeError` for a type that is not in the catalogue.
 */
export function sampleEvent<Type extends VastType>(type: Type | `${VastContext}:${Type}`): VastEventOf<Type> {
  const slug = String(type).replace(/^(client|host):/, '') as Type;
  const [subject, message] = Object.hasOwn(texts, slug) ? texts[slug] : [];
  if (subject === undefined || message === undefined) {
    throw new TypeError(`unknown event type "${type}" (valid: ${Object.keys(texts).join(', ')})`);
  }
  return {
    event_id: randomBytes(16).toString('hex'),
    user_id: 123,
    notif_type: slug,
    subject,
    message,
    timestamp: Date.now() / 1000,
  };
}
