/** Stand-ins for the management APIs: HTTP servers on loopback that keep to what the services document. */
export {
  type Failure,
  failures,
  type ManagementOptions,
  type ManagementStandIn,
} from './management-stand-in-server.js';
export { startShodaiManagement } from './management-stand-in-shodai.js';
export { startV0Management } from './management-stand-in-v0.js';
export { startVastManagement, type VastManagementOptions } from './management-stand-in-vast.js';
