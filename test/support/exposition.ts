/** Parses metrics as Prometheus does: the text format, and OpenMetrics as far as it is the same. */
export interface Exposition {
  /** By the name that the type is given for. */
  readonly types: Readonly<Record<string, string>>;
  /** By name and labels, the labels in alphabetical order: `deliveries_total{code="x",result="y"}`. */
  readonly samples: Readonly<Record<string, number>>;
}

/** Throws for a line that does not have the format. */
export function parseExposition(text: string): Exposition {
  const types: Record<string, string> = {};
  const samples: Record<string, number> = {};
  for (const line of text.split('\n')) {
    const type = /^# TYPE ([a-zA-Z_:][\w:]*) (\w+)$/.exec(line);
    const sample = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (type) {
      types[type[1] as string] = type[2] as string;
    } else if (sample) {
      const [, name, labels = '', value] = sample;
      const key = `${name}{${labelsOf(labels).sort().join(',')}}`;
      if (key in samples) throw new Error(`twice: ${line}`);
      samples[key] = numberOf(value as string);
    } else if (line !== '' && line !== '# EOF' && !line.startsWith('# HELP ')) {
      throw new Error(`not a line of the format: ${line}`);
    }
  }
  return { types, samples };
}

function labelsOf(labels: string): string[] {
  const pairs = labels.match(/[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*"/g) ?? [];
  if (pairs.join(',') !== labels) throw new Error(`not labels: ${labels}`);
  return pairs;
}

function numberOf(text: string): number {
  const value = Number(text.replace('Inf', 'Infinity'));
  // So prom-client writes NaN, which its own metrics of the process may be.
  if (Number.isNaN(value) && text !== 'Nan') throw new Error(`not a number: ${text}`);
  return value;
}
