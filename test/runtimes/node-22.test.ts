import { itWorksInNode } from './works-in-node.js';

itWorksInNode('Node.js 22');
