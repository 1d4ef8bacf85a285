/**
 * Makes properties of a request and its response fast again. Express sets its app's prototype on both. V8 before 13
 * (Node.js 20 and 22) then gives each object a hidden class of its own, so no inline cache matches, and every look-up is
 * slow: here, in Node.js and in the handler. An object that loses a property becomes a hash table, and hash tables share
 * their class. bench/README.md has the figures.
 */
export function shareShape(req: object & { res?: unknown }, res: object & { req?: unknown }): void {
  // Express has just set both links, so nothing reads them in between.
  if (!isNeeded || req.res !== res || res.req !== req) return;
  delete req.res;
  req.res = res;
  delete res.req;
  res.req = req;
}

// Bun has no V8 version, and does not need this.
const isNeeded = Number.parseInt(process.versions.v8 ?? '', 10) < 13;
