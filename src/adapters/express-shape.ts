/**
 * Makes a request and its response quick to look at again. Express gives both its app's prototype, and V8 before 13
 * (Node.js 20 and 22) leaves an object with a hidden class of its own after `Object.setPrototypeOf`: no inline cache
 * knows it again, so that every look-up is a slow one, here, in Node.js and in the handler behind. An object that loses
 * a property becomes a hash table, and hash tables share their class. See bench/README.md for what that is worth.
 */
export function shareShape(req: object & { res?: unknown }, res: object & { req?: unknown }): void {
  // Express links the two to each other, so that nobody misses the links meanwhile.
  if (!isNeeded || req.res !== res || res.req !== req) return;
  delete req.res;
  req.res = res;
  delete res.req;
  res.req = req;
}

// Bun has no such version, and no need.
const isNeeded = Number.parseInt(process.versions.v8 ?? '', 10) < 13;
