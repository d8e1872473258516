#include <cstring>

#include "conclave/base/activation.h"
#include "decoder.h"

namespace conclave {

const Decoder kF32Decoder = {
    SourceType::kF32, "f32",
    [](const uint8_t* bytes, int64_t count) { return AllBelow<int32_t>(0x7f800000, bytes, count); },
    [](const uint8_t* bytes, int64_t count, float* output) {
      std::memcpy(output, bytes, static_cast<size_t>(count) * sizeof(float));
    }};

}  // namespace conclave
