const columns = { sent: 30, answered: 24 };
// Honours NO_COLOR and TERM=dumb.
const coloured = process.stdout.hasColors?.() ?? false;
const style = (code) => (text) => (coloured ? `\u001b[${code}m${text}\u001b[0m` : text);
const bold = style(1);
const dim = style(2);
const red = style(31);
const green = style(32);

export function printIntroduction() {
  console.log(`
${bold('vast-webhook')}: deliveries as Vast.ai signs them, sent to real services on this machine.
Slack hears everything, Google Chat only of instances and bids; log is a function.`);
}

export function printService({ name, url }) {
  console.log(`\n${bold(name)} ${dim(`with app.use(vastWebhook(secret, { sinks })) on ${url}`)}\n`);
  console.log(dim(`  ${row('sent', 'answered', 'delivered to')}`));
}

export function printLine({ sent, seen, expected, isRight }) {
  const line = row(sent, seen.answered, listOf(seen.delivered));
  console.log(isRight ? `${green('✓')} ${line}` : `${red('✗')} ${red(line)}`);
  if (!isRight) console.log(dim(`  ${row('  should have been', expected.answered, listOf(expected.delivered))}`));
}

export function printClosing(lines) {
  const wrong = lines.filter(({ isRight }) => !isRight).length;
  console.log(
    wrong === 0
      ? green(`\nAll ${lines.length} lines are as they should be.\n`)
      : red(`\n${wrong} of ${lines.length} lines are not as they should be.\n`),
  );
}

function row(sent, answered, delivered) {
  return sent.padEnd(columns.sent) + answered.padEnd(columns.answered) + delivered;
}

function listOf(names) {
  return names.length === 0 ? 'nobody' : names.join(', ');
}
