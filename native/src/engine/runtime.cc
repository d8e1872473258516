#include "conclave/engine/runtime.h"

namespace conclave {
namespace {

constexpr int kLoaders = 4;
constexpr int kNiceness = 5;  // a third of the share of a thread that calculates

}  // namespace

Runtime::Runtime(std::shared_ptr<Backend> backend)
    : backend_(std::move(backend)), loader_(kLoaders, kNiceness) {}

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
