/* Looking into an image: `thunk ls`, `tree`, `cat`, `cp` and `stat`.  Each returns the exit status.
 */
#pragma once

int ls_command(int count, char **words);
int tree_command(int count, char **words);
int cat_command(int count, char **words);
int cp_command(int count, char **words);
int stat_command(int count, char **words);
