import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Piece, reserialized, withEventId } from '../../../src/cli/dev/page/json-source.js';

const changes = (body: string) =>
  reserialized(body)
    ?.filter(({ text, becomes }) => text !== becomes)
    .map(({ text, becomes }) => `${text}>${becomes}`);
const printed = (pieces: readonly Piece[] | undefined) => pieces?.map(({ becomes }) => becomes).join('');

describe('what a re-serialisation changes', () => {
  const cases: [what: string, body: string, changed: string[]][] = [
    ['nothing in what JSON.stringify wrote', '{"a":[1,true,null,"ü"],"b":{}}', []],
    ['white space', '{ "a": 1,\n"b":2}', [' >', ' >', '\n>']],
    [
      'numbers',
      '[1.0,1e2,-0,12345678901234567890,1.5]',
      ['1.0>1', '1e2>100', '-0>0', '12345678901234567890>12345678901234567000'],
    ],
    ['escapes, one by one', '"Gr\\u00fc\\/n \\n \\ud83d\\ude00 \\ud800"', ['\\u00fc>ü', '\\/>/', '\\ud83d\\ude00>😀']],
    ['a byte-order mark', '\ufeff{}', ['\ufeff>']],
    ['a key that stands twice', '{"a":1,"b":2,"a":3}', ['"a">']],
    ['keys that are whole numbers, if they move', '{"b":1,"7":2}', ['"7">']],
    ['none that stay where they are', '{"7":2,"b":1}', []],
  ];
  for (const [what, body, changed] of cases) {
    it(what, () => expect(changes(body)).toEqual(changed));
  }

  it('holds for any JSON, however it is written', () => {
    const space = fc.constantFrom('', ' ', '\n', '\t ');
    const written = fc.tuple(fc.jsonValue(), space, fc.constantFrom(0, 1, 2, '\t')).map(([value, around, indent]) => {
      const text = JSON.stringify(value, undefined, indent);
      return (
        around +
        text.replace(/[\x7f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`) +
        around
      );
    });
    fc.assert(
      fc.property(written, (body) => {
        const pieces = reserialized(body);
        expect(pieces?.map(({ text }) => text).join('')).toBe(body);
        const isChanged = pieces?.some(({ text, becomes }) => text !== becomes);
        expect(isChanged).toBe(body !== JSON.stringify(JSON.parse(body)));
        if (!/"\d+":/.test(body)) expect(printed(pieces)).toBe(JSON.stringify(JSON.parse(body)));
      }),
      { seed: 17 },
    );
  });

  it('marks what Python writes, as Vast.ai sends it', () => {
    const { vast } = JSON.parse(readFileSync('test/fixtures/vectors.json', 'utf8'));
    const bodies = vast.map(({ body }: { body: string }) => body).filter((body: string) => body.includes('": '));
    expect(bodies.length).toBeGreaterThan(0);
    for (const body of bodies) expect(changes(body)).toContain(' >');
  });

  it('is undefined for what is no JSON', () => {
    for (const body of ['', 'nonsense', '{"a":}', '[1,]', '"\n"']) expect(reserialized(body)).toBeUndefined();
  });
});

describe('another event id', () => {
  it('changes nothing but the id', () => {
    const body = '{ "a": {"event_id": "inner"}, "event_id" : "o\\"ld", "x": 1.0 }\n';
    expect(withEventId(body, 'new')).toBe('{ "a": {"event_id": "inner"}, "event_id" : "new", "x": 1.0 }\n');
  });

  it('takes the last of two, which counts, by whichever escapes it is written', () => {
    expect(withEventId('{"event_id":"a","event\\u005fid":"b"}', 'c')).toBe('{"event_id":"a","event\\u005fid":"c"}');
  });

  it('is undefined where there is none', () => {
    for (const body of ['', '{}', '[{"event_id":"a"}]', '"event_id"', '{"event_id":7}', '{"a":"event_id"}'])
      expect(withEventId(body, 'new')).toBeUndefined();
  });
});
