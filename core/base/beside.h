/* SPDX-License-Identifier: Apache-2.0 */
/* Where a program finds what comes with it: beside it where it was built, in PREFIX where it is installed. */
#ifndef BASE_BESIDE_H
#define BASE_BESIDE_H

/*
 * For a program in PREFIX/bin or PREFIX/sbin PREFIX/installed, else built in the program's own folder.
 * The caller frees.
 */
char *beside_program(const char *built, const char *installed);

#endif
