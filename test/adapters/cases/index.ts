import { accepted } from './accepted.js';
import type { Case } from './case.js';
import { failures } from './failed.js';
import { rejections } from './rejected.js';
import { work } from './work.js';

export const cases: Readonly<Record<string, Case>> = { ...accepted, ...failures, ...rejections, ...work };
