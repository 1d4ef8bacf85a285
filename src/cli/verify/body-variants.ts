import { brotliDecompressSync, deflateSync, gunzipSync, gzipSync, inflateRawSync, inflateSync } from 'node:zlib';
import { fromBase64 } from '../shared/capture.js';
import { type PrintStyle, parseSource, print } from './json-source.js';
import { asGiven, type Variant, variant } from './variant.js';

type Variants = Iterable<Variant<Buffer>>;

const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);
const rawBytes = 'keep the bytes as they come in, and verify before anything else looks at them';

/** Parsing and printing again in every style is for bodies like the sender's, which are small. */
const maxPrintedBytes = 65_536;
const maxInflatedBytes = 1_048_576;

/** The bytes that may have been signed, the likelier ones first: what was given, then what commonly happens to it. */
export function* bodyVariants(body: Buffer, isParsed: boolean): Variants {
  const seen = new Set<string>();
  const fresh = function* (variants: Variants): Variants {
    for (const each of variants) {
      const key = each.value.toString('latin1');
      if (seen.has(key)) continue;
      seen.add(key);
      yield each;
    }
  };
  const unpacked = [...fresh([asGiven(body), ...unpack(body)])];
  const trimmed = unpacked.flatMap((each) => [each, ...fresh(compose(each, changeEnds))]);
  yield* trimmed;
  for (const each of unpacked) yield* fresh(compose(each, (bytes) => printAgain(bytes, isParsed)));
}

function* compose(before: Variant<Buffer>, change: (bytes: Buffer) => Variants): Variants {
  for (const { value, causes } of change(before.value)) yield { value, causes: [...before.causes, ...causes] };
}

/** What lies in the body, when something was done to it as a whole. */
function* unpack(body: Buffer): Variants {
  for (const open of [gunzipSync, inflateSync, inflateRawSync, brotliDecompressSync]) {
    const inflated = attempt(() => open(body, { maxOutputLength: maxInflatedBytes }));
    if (inflated === undefined || inflated.length === 0) continue;
    yield variant(
      inflated,
      'compressed_body',
      'the body is compressed here, and was signed as it was before',
      'have the proxy in front leave request bodies alone, or inflate the capture',
    );
  }
  for (const [name, pack] of Object.entries({ gzip: gzipSync, deflate: deflateSync })) {
    for (const level of [6, 9, 1]) {
      yield variant(
        pack(body, { level }),
        'inflated_body',
        `the body was signed compressed (${name}), and something on its way has inflated it`,
        'turn off what decompresses requests (a proxy, the inflate option of a body parser), and verify the bytes as sent',
      );
    }
  }
  const ascii = body.toString('latin1').trim();
  if (/^[\w+/-]{8,}={0,2}$/.test(ascii)) {
    yield variant(fromBase64(body), 'base64_body', 'the body was kept in base64', 'give --base64, or decode it first');
  }
  const quoted = attempt(() => JSON.parse(body.toString()) as unknown);
  if (typeof quoted === 'string') {
    yield variant(
      Buffer.from(quoted),
      'quoted_body',
      'the body was kept as a JSON text within quotes',
      'verify the text that is quoted, not its JSON',
    );
  }
  yield* otherEncodings(body);
}

function* otherEncodings(body: Buffer): Variants {
  if (body.length % 2 === 0 && body[0] === 0xff && body[1] === 0xfe) {
    yield variant(
      Buffer.from(body.toString('utf16le').slice(1)),
      'utf16_body',
      'the body was saved in UTF-16, as PowerShell does with >',
      'save it as the bytes that came in: curl -o, or Set-Content -AsByteStream',
    );
  }
  const text = body.toString();
  const isUtf8 = Buffer.from(text).equals(body);
  if (!isUtf8) {
    for (const encoding of ['latin1', 'windows-1252']) {
      yield variant(
        Buffer.from(new TextDecoder(encoding).decode(body)),
        'latin1_body',
        'the body was saved in Latin-1, and was sent in UTF-8',
        `${rawBytes}: read and write it without an encoding, or with UTF-8 both times`,
      );
    }
    return;
  }
  for (const bytes of [attempt(() => toLatin1(text)), attempt(() => toWindows1252(text))]) {
    if (bytes === undefined) continue;
    yield variant(
      bytes,
      'mojibake_body',
      'the body was read as Latin-1 and written as UTF-8 (é has become Ã©)',
      `${rawBytes}: read and write it without an encoding, or with UTF-8 both times`,
    );
  }
  for (const form of ['NFC', 'NFD']) {
    yield variant(
      Buffer.from(text.normalize(form)),
      'normalized_body',
      'accents in the body were composed or taken apart (Unicode normalisation)',
      rawBytes,
    );
  }
}

function toLatin1(text: string): Buffer {
  if (/[^\0-\xff]/.test(text)) throw new RangeError('not Latin-1');
  return Buffer.from(text, 'latin1');
}

function toWindows1252(text: string): Buffer {
  const decoder = new TextDecoder('windows-1252');
  const bytes = new Map(Array.from({ length: 256 }, (_, byte) => [decoder.decode(Buffer.from([byte])), byte]));
  return Buffer.from(
    Array.from(text, (character) => {
      const byte = bytes.get(character);
      if (byte === undefined) throw new RangeError('not Windows-1252');
      return byte;
    }),
  );
}

/** What editors and shells do to a file's ends and lines. */
function* changeEnds(body: Buffer): Variants {
  const text = body.toString('latin1');
  const mark = byteOrderMark.toString('latin1');
  const bare = text.startsWith(mark) ? text.slice(mark.length) : text;
  const withMark = 'a byte-order mark was put before the body, as editors on Windows do';
  const noMark = 'the byte-order mark before the body was taken away';
  const marks: readonly Variant<string>[] = [
    asGiven(text),
    text === bare
      ? variant(mark + text, 'byte_order_mark', noMark, rawBytes)
      : variant(bare, 'byte_order_mark', withMark, 'save it as UTF-8 without BOM, or as the bytes that came in'),
  ];
  for (const { value, causes } of marks) {
    for (const [ends, own] of endsOf(value)) {
      yield { value: Buffer.from(ends, 'latin1'), causes: [...causes, ...own.causes] };
    }
  }
}

function* endsOf(text: string): Iterable<readonly [string, Variant<unknown>]> {
  const added = variant(
    undefined,
    'newline_added',
    'a newline or white space was put around the body, as editors and echo do',
    "save it without: printf '%s', echo -n, curl --data-binary; in code do not trim or append",
  );
  const removed = variant(
    undefined,
    'newline_removed',
    'a newline at the end of the body was taken away, as trim() and $(...) do',
    rawBytes,
  );
  const lines = variant(
    undefined,
    'line_endings',
    'line endings in the body were changed (LF, CRLF)',
    'save it in binary mode; set "* -text" in .gitattributes, and use curl --data-binary',
  );
  yield [text, asGiven(undefined)];
  yield [text.replace(/\r?\n$/, ''), added];
  yield [text.trim(), added];
  for (const newline of ['\n', '\r\n']) yield [text + newline, removed];
  yield [text.replaceAll('\r\n', '\n'), lines];
  yield [text.replace(/\r?\n/g, '\r\n'), lines];
}

const escapes: readonly ((json: string) => string)[] = [
  (json) => json,
  // Python's json.dumps, Ruby, PHP.
  (json) => json.replace(/[\x7f-\uffff]/g, (unit) => `\\u${hex(unit)}`),
  (json) => json.replace(/[\x7f-\uffff]/g, (unit) => `\\u${hex(unit).toUpperCase()}`),
];
const htmlEscapes: readonly ((json: string) => string)[] = [
  (json) => json,
  (json) => json.replaceAll('/', '\\/'),
  // Go's encoding/json.
  (json) => json.replace(/[<>&\u2028\u2029]/g, (unit) => `\\u${hex(unit)}`),
];
const spaces: readonly Pick<PrintStyle, 'comma' | 'colon' | 'indent'>[] = [
  { comma: ' ', colon: ' ' },
  { comma: '', colon: '' },
  { comma: '', colon: ' ' },
  { comma: '', colon: ' ', indent: '  ' },
  { comma: '', colon: ' ', indent: '    ' },
  { comma: '', colon: ' ', indent: '\t' },
];
/** As the guide lists them. */
const sentOrder = ['event_id', 'user_id', 'notif_type', 'subject', 'message', 'timestamp'];
const orders: readonly PrintStyle['order'][] = [
  (keys) => keys,
  (keys) => [...sentOrder.filter((key) => keys.includes(key)), ...keys.filter((key) => !sentOrder.includes(key))],
  (keys) => keys.toSorted(),
];

function hex(unit: string): string {
  return unit.charCodeAt(0).toString(16).padStart(4, '0');
}

/** The same JSON in the ways that senders print it. */
function* printAgain(body: Buffer, isParsed: boolean): Variants {
  if (body.length > maxPrintedBytes) return;
  const text = body.toString().replace(/^\uFEFF/, '');
  const node = parseSource(text);
  if (node === undefined || !('fields' in node)) return;
  const what = isParsed
    ? 'the body was kept as the object that a JSON parser made of it, not as the bytes that were signed'
    : 'the body was parsed and printed again: the same JSON, other bytes';
  const cure =
    'verify the raw bytes: put the middleware before express.json(), or keep them with express.json({ verify: keepRawBody })';
  for (const order of orders) {
    for (const space of spaces) {
      for (const toAscii of escapes) {
        for (const html of htmlEscapes) {
          for (const wholeTimestamp of ['.0', ''] as const) {
            const style = { ...space, order, wholeTimestamp, text: (json: string) => html(toAscii(json)) };
            yield variant(Buffer.from(print(node, style)), 'reserialized_body', what, cure);
          }
        }
      }
    }
  }
}

function attempt<Value>(make: () => Value): Value | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}
