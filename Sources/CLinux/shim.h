#pragma once
// Of Linux, and in the C library of every Linux system, but not among the names that Swift is shown of it.
#if defined(__linux__)
int fallocate(int descriptor, int mode, long offset, long length);
// prctl, of which Swift takes no calls with a number of arguments that is open.
int quern_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) __asm__("prctl");
#endif
