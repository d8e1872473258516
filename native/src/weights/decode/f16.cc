#include <cstring>

#include "conclave/base/activation.h"
#include "conclave/base/number_formats.h"
#include "decoder.h"

namespace conclave {

const Decoder kF16Decoder = {
    SourceType::kF16, "f16",
    [](const uint8_t* bytes, int64_t count) { return AllBelow<int16_t>(0x7c00, bytes, count); },
    [](const uint8_t* bytes, int64_t count, float* output) {
      for (int64_t i = 0; i < count; ++i) {
        uint16_t half;
        std::memcpy(&half, bytes + 2 * i, 2);
        output[i] = F16ToFloat(half);
      }
    }};

}  // namespace conclave
