import { itWorksInNode } from './works-in-node.js';

itWorksInNode('Node.js 20.0.0');
