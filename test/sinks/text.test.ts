import { expect, it, onTestFinished } from 'vitest';

/** As a process loads it for the first time. */
const file: string = '../../src/sinks/text.js?loaded-anew';

it('a sink that cuts no text makes no segmenter, which takes a tenth of the start of a process', async () => {
  const { Segmenter } = Intl;
  let made = 0;
  class Counted extends Segmenter {
    constructor() {
      super();
      made++;
    }
  }
  Object.assign(Intl, { Segmenter: Counted });
  onTestFinished(() => void Object.assign(Intl, { Segmenter }));
  const { cut } = (await import(file)) as typeof import('../../src/sinks/text.js');
  expect(cut('short', 10)).toBe('short');
  expect(made).toBe(0);
  for (let i = 0; i < 2; i++) expect(cut('a text that is cut', 10)).toBe('a text th…');
  expect(made).toBe(1);
});
