#pragma once

// One decoder for each encoding of a checkpoint's elements.

#include <cstddef>
#include <cstdint>

#include "conclave/base/element_types.h"

namespace conclave {

struct Decoder {
  SourceType type;
  const char* name;
  // Whether no element is NaN or infinite. `bytes` may be unaligned, as below.
  bool (*finite)(const uint8_t* bytes, int64_t count);
  void (*floats)(const uint8_t* bytes, int64_t count, float* output);
};

extern const Decoder kF32Decoder;
extern const Decoder kF16Decoder;
extern const Decoder kBf16Decoder;

inline const Decoder& DecoderOf(SourceType type) {
  static constexpr const Decoder* kDecoders[] = {&kF32Decoder, &kF16Decoder, &kBf16Decoder};
  return *kDecoders[static_cast<size_t>(type)];
}

}  // namespace conclave
