// A library that says that it was made of other sources.

extern "C" __attribute__((visibility("default"))) const char* ConclavePluginAbi() {
  return "0123456789abcdef 1.0";
}
