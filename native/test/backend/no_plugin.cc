// A library that has nothing to do with backends.

extern "C" __attribute__((visibility("default"))) int Answer() { return 42; }
