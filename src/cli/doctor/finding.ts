/** What a check has found. Neither text ends in a full stop. */
export interface Finding {
  readonly check: string;
  readonly status: 'ok' | 'problem' | 'skipped';
  readonly detail: string;
  /** What to do about a problem. */
  readonly cure?: string;
}

export function ok(check: string, detail: string): Finding {
  return { check, status: 'ok', detail };
}

export function problem(check: string, detail: string, cure: string): Finding {
  return { check, status: 'problem', detail, cure };
}

export function skipped(check: string, detail: string): Finding {
  return { check, status: 'skipped', detail };
}
