/* Shell completion, made from the command table. Pure: text in the heap. */
#ifndef JOBS_CLI_COMPLETION_H
#define JOBS_CLI_COMPLETION_H

char *vf_completion_bash(void);
char *vf_completion_zsh(void);

#endif
