import { expect, it } from 'vitest';
import { receiverLog } from '../../../src/cli/serve/log.js';
import { fakeIo } from '../../support/io.js';

const address = 'https://hooks.example.com/notifications/secrettoken0123';
const secrets = [address, 'notifications', 'secrettoken0123'];

it.each([
  ['a name that is a part of an address', 'delivering to notifications', 'delivering to notifications'],
  ['a name that has a part of an address in it', 'my-notifications: 503', 'my-notifications: 503'],
  ['the part elsewhere', `no answer from ${address}`, 'no answer from [secret]'],
  ['the part in another address', 'at /notifications/secrettoken0123', 'at /[secret]/[secret]'],
  ['a secret beside the name', 'notifications: secrettoken0123', 'notifications: [secret]'],
  ['a secret that only begins like the name', 'notifications-2', '[secret]-2'],
])('a log keeps names of sinks and no secrets: %s', (_, message, logged) => {
  const io = fakeIo({ cwd: '.' });
  const log = receiverLog(io, 'json', secrets, ['notifications', 'my-notifications', 'a']);
  log.note('warn', message);
  expect(JSON.parse(io.out).message).toBe(logged);
});
