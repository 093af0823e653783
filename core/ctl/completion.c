/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a shell needs to complete our words. The scripts know no command and no option: they ask
 * `gantry complete` (complete.c), so that they fit whatever gantry is called.
 */
#include "ctl/output.h"

/*
 * bash cuts words at "=" and ":" too and replaces the last piece only: the pieces are put together
 * before gantry is asked, and what stands in front of the last one is taken off its answers.
 */
static const char bash_script[] =
	"# bash completion of gantry; by `gantry completion bash`\n"
	"_gantry()\n"
	"{\n"
	"\tlocal words=() line=$COMP_LINE piece= before answer i\n"
	"\n"
	"\tfor ((i = 0; i <= COMP_CWORD; i++)); do\n"
	"\t\tpiece=${COMP_WORDS[i]}\n"
	"\t\tif ((i > 0)) && [[ $line != [[:space:]]* ]]; then\n"
	"\t\t\twords[-1]+=$piece\n"
	"\t\telse\n"
	"\t\t\twords+=(\"$piece\")\n"
	"\t\tfi\n"
	"\t\tline=${line#\"${line%%[![:space:]]*}\"}\n"
	"\t\tline=${line#\"$piece\"}\n"
	"\tdone\n"
	"\t[[ $piece == [=:]* ]] && piece=\n"
	"\tbefore=${words[-1]%\"$piece\"}\n"
	"\tCOMPREPLY=()\n"
	"\twhile IFS=$'\\t' read -r answer _; do\n"
	"\t\tif [[ $answer == :files ]]; then\n"
	"\t\t\tcompopt -o default 2>/dev/null\n"
	"\t\telse\n"
	"\t\t\tCOMPREPLY+=(\"${answer#\"$before\"}\")\n"
	"\t\tfi\n"
	"\tdone < <(\"${1/#\\~/$HOME}\" complete -- \"${words[@]:1}\" 2>/dev/null)\n"
	"}\n"
	"complete -F _gantry gantry\n";

static const char zsh_script[] =
	"#compdef gantry\n"
	"# zsh completion of gantry; by `gantry completion zsh`\n"
	"_gantry()\n"
	"{\n"
	"\tlocal answer files\n"
	"\tlocal -a plain told\n"
	"\n"
	"\tfor answer in \"${(@f)$(\"${(Q)words[1]/#\\~/$HOME}\" complete -- "
	"\"${(@Q)words[2,CURRENT]}\" 2>/dev/null)}\"; do\n"
	"\t\tcase $answer in\n"
	"\t\t'') ;;\n"
	"\t\t:files) files=1 ;;\n"
	"\t\t*$'\\t'*) told+=(\"${${answer%%$'\\t'*}//:/\\\\:}:${answer#*$'\\t'}\") ;;\n"
	"\t\t*) plain+=(\"$answer\") ;;\n"
	"\t\tesac\n"
	"\tdone\n"
	"\t(($#plain)) && compadd -a plain\n"
	"\t(($#told)) && _describe -V gantry told\n"
	"\t[[ -n $files ]] && _files\n"
	"}\n"
	"if [[ ${funcstack[1]} == _gantry ]]; then _gantry \"$@\"; else compdef _gantry gantry; fi\n";

static const char fish_script[] =
	"# fish completion of gantry; by `gantry completion fish`\n"
	"function __gantry_complete\n"
	"\tset -l words (commandline -opc)\n"
	"\tset -l current (commandline -ct)\n"
	"\tfor answer in ($words[1] complete -- $words[2..-1] \"$current\" 2>/dev/null)\n"
	"\t\tif test \"$answer\" = :files\n"
	"\t\t\t__fish_complete_path \"$current\"\n"
	"\t\telse\n"
	"\t\t\techo $answer\n"
	"\t\tend\n"
	"\tend\n"
	"end\n"
	"complete -c gantry -f -a '(__gantry_complete)'\n";

int completion_command(struct ctl *ctl)
{
	static const struct {
		const char *shell, *script;
	} scripts[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};
	const char *shell = ctl->args->words[0];

	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++)
		if (strcmp(scripts[i].shell, shell) == 0) {
			fputs(scripts[i].script, stdout);
			return CTL_OK;
		}
	return output_usage("completion", "the shell is bash, zsh or fish, not \"%s\"", shell);
}
