#include "conclave/backend/host_states.h"

#include <cstdint>
#include <new>

#include "conclave/base/expect.h"
#include "conclave/base/message.h"

namespace conclave {

size_t HostStates::BytesFor(const StateShape& shape) {
  Expect(shape.slots >= 1 && shape.slots <= INT32_MAX, "states.slots", "1 to 2^31 - 1",
         shape.slots);
  Expect(shape.elements >= 1, "states.elements", "at least 1", shape.elements);
  int64_t bytes = 0;
  if (__builtin_mul_overflow(shape.elements, shape.slots, &bytes) ||
      __builtin_mul_overflow(bytes, int64_t{sizeof(float)}, &bytes)) {
    Fail(ErrorCode::kOutOfMemory, "states: ", shape.slots, " of ", shape.elements,
         " elements exceed the address space");
  }
  return static_cast<size_t>(bytes);
}

HostStates::HostStates(const StateShape& shape) : shape_(shape) {
  const size_t bytes = BytesFor(shape);
  try {
    values_.resize(bytes / sizeof(float));
  } catch (const std::bad_alloc&) {
    Fail(ErrorCode::kOutOfMemory, "states: no memory for ", bytes, " bytes of ", shape.slots,
         " sequences");
  }
}

}  // namespace conclave
