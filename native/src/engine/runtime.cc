#include "conclave/engine/runtime.h"

#include <algorithm>

#include "conclave/base/message.h"

namespace conclave {
namespace {

constexpr int kLoaders = 4;
constexpr int kNiceness = 5;  // a third of the share of a thread that calculates

Isa Checked(Isa isa) {
  const std::vector<Isa> supported = SupportedIsas();
  if (std::find(supported.begin(), supported.end(), isa) == supported.end()) {
    Fail(ErrorCode::kUnsupported, "isa: this CPU does not have the instruction set");
  }
  return isa;
}

}  // namespace

Runtime::Runtime(int threads, Isa isa, Bf16Pairs pairs)
    : compute_(std::make_shared<Compute>(threads, Checked(isa), pairs)),
      loader_(kLoaders, kNiceness) {}

Runtime::~Runtime() { Stop(); }

void Runtime::Close() {
  executor_.Close();
  loader_.Close();
}

void Runtime::Stop() {
  executor_.Stop();
  loader_.Stop();
}

void Runtime::Release(std::shared_ptr<const void> object) {
  try {
    loader_.Post([object = std::move(object)] {});
  } catch (...) {
    // Closed, or no memory for a task: `object` is freed here.
  }
}

}  // namespace conclave
