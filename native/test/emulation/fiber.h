#pragma once

// A stack of its own for each thread of an emulated block, and switches between them. ASan and TSan
// know about the switches; TSan takes each fiber for a thread that nothing orders against others.

#include <cstddef>

#if !defined(__x86_64__) || !defined(__linux__)
#include <ucontext.h>
#endif

namespace emu {

class Fiber {
 public:
  // The running host thread, as what fibers return to.
  Fiber() = default;
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Makes this a fiber that runs entry() from the start, on a stack that is reused between runs
  // where no sanitizer remembers who touched it. entry() must end by SwitchTo(..., true).
  void Start(void (*entry)());
  // Frees the stack for another fiber, once entry() has ended.
  void Finish();
  // Stops `this`, which runs, and continues `next`. `ends`: this one will not be continued.
  void SwitchTo(Fiber& next, bool ends = false);
  // To be called first by entry(): tells sanitizers where `from`, which started it, has its stack.
  static void Arrive(Fiber& from);

 private:
  char* stack_ = nullptr;
  size_t stack_bytes_ = 0;
  const void* sanitizer_stack_ = nullptr;
  size_t sanitizer_stack_bytes_ = 0;
  void* tsan_ = nullptr;
#if defined(__x86_64__) && defined(__linux__)
  void* context_ = nullptr;
#else
  ucontext_t context_;
#endif
};

}  // namespace emu
