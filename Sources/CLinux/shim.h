#pragma once
// Of Linux, and in the C library of every Linux system, but not among the names that Swift is shown of it.
#if defined(__linux__)
int fallocate(int descriptor, int mode, long offset, long length);
#endif
