#include "emulation/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <vector>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

#if defined(__x86_64__) && defined(__linux__)
// Saves callee-saved registers and the stack pointer to *from, continues at `to`.
extern "C" void EmuSwitch(void** from, void* to);
asm(R"(
.text
.globl EmuSwitch
.hidden EmuSwitch
.type EmuSwitch,@function
EmuSwitch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size EmuSwitch,.-EmuSwitch
)");
#endif

namespace emu {
namespace {

constexpr size_t kStackBytes = size_t{128} << 10;

char* MapStack() {
  void* const memory = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  return static_cast<char*>(memory);
}

#if defined(__SANITIZE_THREAD__)
// TSan forgets what it knows of memory once that is unmapped.
char* TakeStack() { return MapStack(); }
void GiveBack(char* stack) { munmap(stack, kStackBytes); }
#else
struct FreeStacks {
  std::vector<char*> stacks;
  ~FreeStacks() {
    for (char* const stack : stacks) munmap(stack, kStackBytes);
  }
};
thread_local FreeStacks free_stacks;

char* TakeStack() {
  if (free_stacks.stacks.empty()) return MapStack();
  char* const stack = free_stacks.stacks.back();
  free_stacks.stacks.pop_back();
  return stack;
}

void GiveBack(char* stack) {
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(stack, kStackBytes);
#endif
  free_stacks.stacks.push_back(stack);
}
#endif

}  // namespace

void Fiber::Start(void (*entry)()) {
  stack_ = TakeStack();
  stack_bytes_ = kStackBytes;
  sanitizer_stack_ = stack_;
  sanitizer_stack_bytes_ = stack_bytes_;
#if defined(__x86_64__) && defined(__linux__)
  auto* top = reinterpret_cast<void**>((reinterpret_cast<uintptr_t>(stack_) + stack_bytes_) &
                                       ~uintptr_t{15});
  *--top = nullptr;                              // where entry would return to; keeps 16-alignment
  *--top = reinterpret_cast<void*>(entry);       // EmuSwitch returns into it
  for (int i = 0; i < 6; ++i) *--top = nullptr;  // registers
  context_ = top;
#else
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack_;
  context_.uc_stack.ss_size = stack_bytes_;
  context_.uc_link = nullptr;
  makecontext(&context_, entry, 0);
#endif
#if defined(__SANITIZE_THREAD__)
  tsan_ = __tsan_create_fiber(0);
#endif
}

void Fiber::Finish() {
#if defined(__SANITIZE_THREAD__)
  __tsan_destroy_fiber(tsan_);
#endif
  GiveBack(stack_);
  stack_ = nullptr;
}

void Fiber::SwitchTo(Fiber& next, [[maybe_unused]] bool ends) {
#if defined(__SANITIZE_THREAD__)
  if (tsan_ == nullptr) tsan_ = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(next.tsan_, __tsan_switch_to_fiber_no_sync);
#endif
#if defined(__SANITIZE_ADDRESS__)
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(ends ? nullptr : &fake, next.sanitizer_stack_,
                                 next.sanitizer_stack_bytes_);
#endif
#if defined(__x86_64__) && defined(__linux__)
  EmuSwitch(&context_, next.context_);
#else
  swapcontext(&context_, &next.context_);
#endif
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
}

void Fiber::Arrive([[maybe_unused]] Fiber& from) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &from.sanitizer_stack_, &from.sanitizer_stack_bytes_);
#endif
}

}  // namespace emu
