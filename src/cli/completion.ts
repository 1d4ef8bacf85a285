import { Argument, type Command, type Option } from 'commander';
import type { CliContext } from './shared/context.js';

/** The hidden subcommand that the scripts below call, with the words of the line and the one at the cursor last. */
const answering = '__complete';

const bash = `_vast_webhook() {
  local line=\${COMP_LINE:0:COMP_POINT} word each current=\${COMP_WORDS[COMP_CWORD]}
  local -a words
  # Bash takes a word apart at : and =, which types and options have in them.
  read -ra words <<< "$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  word=\${words[\${#words[@]} - 1]}
  [[ $current == [:=] ]] && current=''
  COMPREPLY=()
  while IFS= read -r each; do
    each=\${each%%$'\\t'*}
    COMPREPLY+=("\${each#"\${word%"$current"}"}")
  done < <(vast-webhook ${answering} -- "\${words[@]}" 2> /dev/null)
}
complete -o default -F _vast_webhook vast-webhook`;

const zsh = `#compdef vast-webhook
_vast_webhook() {
  local line
  local -a found shown
  while IFS= read -r line; do
    found+=("\${line%%$'\\t'*}")
    shown+=("\${line/$'\\t'/  -- }")
  done < <(vast-webhook ${answering} -- "\${(@)words[1,CURRENT]}" 2> /dev/null)
  if (( $#found )); then compadd -l -d shown -a found; else _files; fi
}
compdef _vast_webhook vast-webhook`;

const fish = `function __vast_webhook
  set -l found (vast-webhook ${answering} -- (commandline -opc) (commandline -ct) 2> /dev/null)
  if test (count $found) -gt 0
    printf '%s\\n' $found
  else
    __fish_complete_path (commandline -ct)
  end
end
complete -c vast-webhook -f -a '(__vast_webhook)'`;

const scripts: Readonly<Record<string, string>> = { bash, zsh, fish };

const manual = `
Have the shell read it at its start:
  bash  source <(vast-webhook completion bash)      in ~/.bashrc
  zsh   source <(vast-webhook completion zsh)       in ~/.zshrc, after compinit
  fish  vast-webhook completion fish | source       in ~/.config/fish/config.fish
The command must be in the PATH, as after npm install --global.`;

export function addCompletion(program: Command, io: CliContext): void {
  program
    .command('completion')
    .description('Print a script that makes a shell complete subcommands, options and event types.')
    .addArgument(new Argument('<shell>', 'the shell').choices(Object.keys(scripts)))
    .addHelpText('after', manual)
    .action((shell: string) => printLines(io, scripts[shell]?.split('\n') ?? []));
  program
    .command(answering, { hidden: true })
    .argument('<words...>')
    .action(async (words: readonly string[]) => printLines(io, await candidatesFor(program, words.slice(1))));
}

function printLines({ stdout }: CliContext, lines: readonly string[]): void {
  for (const line of lines) stdout.write(`${line}\n`);
}

interface Candidate {
  readonly word: string;
  readonly about?: string;
}

/** What the last word may become, as lines of a word, a tab and what it is. None where it is a file or a free text. */
async function candidatesFor(program: Command, words: readonly string[]): Promise<string[]> {
  const { command, expecting, isPlain } = positionAfter(program, words.slice(0, -1));
  const current = words.at(-1) ?? '';
  const [, flag, separator] = /^(--[\w-]+)(=)/.exec(current) ?? [];
  const option = expecting ?? (separator && !isPlain ? optionOf(command, flag) : undefined);
  if (option !== undefined) {
    const before = expecting === undefined ? `${flag}=` : '';
    return linesOf(await valuesOf(option, option.attributeName()), before, current);
  }
  if (current.startsWith('-') && !isPlain) return linesOf(optionsOf(command), '', current);
  const subcommands = command.createHelp().visibleCommands(command);
  const named = subcommands.map((each) => ({ word: each.name(), about: each.description() }));
  const [argument] = command.registeredArguments;
  return linesOf(argument ? await valuesOf(argument, argument.name()) : named, '', current);
}

interface Position {
  readonly command: Command;
  /** The option whose value comes next. */
  readonly expecting?: Option | undefined;
  /** Whether no options come any more. */
  readonly isPlain: boolean;
}

function positionAfter(program: Command, words: readonly string[]): Position {
  return words.reduce<Position>(
    ({ command, expecting, isPlain }, word) => {
      if (expecting !== undefined) return { command, isPlain };
      if (isPlain || word === '--') return { command, isPlain: true };
      const option = optionOf(command, word);
      if (option?.required) return { command, expecting: option, isPlain };
      return { command: command.commands.find((each) => each.name() === word) ?? command, isPlain };
    },
    { command: program, isPlain: false },
  );
}

function optionOf({ options }: Command, flag: string | undefined): Option | undefined {
  return options.find(({ long, short }) => flag !== undefined && (flag === long || flag === short));
}

function optionsOf(command: Command): readonly Candidate[] {
  return command
    .createHelp()
    .visibleOptions(command)
    .map(({ long, short, description }) => ({ word: long ?? short ?? '', about: description }));
}

async function valuesOf({ argChoices }: { argChoices?: string[] }, name: string): Promise<readonly Candidate[]> {
  if (argChoices !== undefined) return argChoices.map((word) => ({ word }));
  if (name !== 'type' && name !== 'types') return [];
  const { vastCatalogue } = await import('./manage/vast-catalogue.js');
  return vastCatalogue().map(({ key, title }) => ({ word: key, about: title }));
}

/** Of a list with commas, the last part is completed. */
function linesOf(candidates: readonly Candidate[], before: string, current: string): string[] {
  const start = current.slice(0, Math.max(before.length, current.lastIndexOf(',') + 1));
  return candidates
    .map(({ word, about = '' }) => ({ word: start + word, about }))
    .filter(({ word }) => word.startsWith(current))
    .map(({ word, about }) => `${word}\t${about}`);
}
