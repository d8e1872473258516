#include <cstring>

#include "conclave/base/activation.h"
#include "conclave/base/number_formats.h"
#include "decoder.h"

namespace conclave {

const Decoder kBf16Decoder = {
    SourceType::kBF16, "bf16",
    [](const uint8_t* bytes, int64_t count) { return AllBelow<int16_t>(0x7f80, bytes, count); },
    [](const uint8_t* bytes, int64_t count, float* output) {
      for (int64_t i = 0; i < count; ++i) {
        uint16_t half;
        std::memcpy(&half, bytes + 2 * i, 2);
        output[i] = Bf16ToFloat(half);
      }
    }};

}  // namespace conclave
