#include "codes.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "conclave/base/number_formats.h"

namespace conclave {
namespace {

template <typename Value>
std::array<float, 256> MakeTable(const Value& value) {
  std::array<float, 256> table;
  for (int code = 0; code < 256; ++code)
    table[static_cast<size_t>(code)] = value(static_cast<uint8_t>(code));
  return table;
}

}  // namespace

float F8E4M3ToFloat(uint8_t bits) {
  const int exponent = bits >> 3 & 15;
  const int mantissa = bits & 7;
  if ((bits & 0x7f) == 0x7f) return std::numeric_limits<float>::quiet_NaN();
  const float magnitude = exponent == 0
                              ? std::ldexp(static_cast<float>(mantissa), -9)
                              : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  return (bits & 0x80) != 0 ? -magnitude : magnitude;
}

float F8E8M0ToFloat(uint8_t bits) {
  return bits == 0xff ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0f, bits - 127);
}

const float* F8E4M3Table() {
  static const auto table = MakeTable(F8E4M3ToFloat);
  return table.data();
}

const float* Int8Table() {
  static const auto table =
      MakeTable([](uint8_t code) { return static_cast<float>(static_cast<int8_t>(code)); });
  return table.data();
}

const float* CountingTable(int first) {
  static const auto numbers = [] {
    std::array<float, 512> table;
    for (int i = 0; i < 512; ++i) table[static_cast<size_t>(i)] = static_cast<float>(i - 256);
    return table;
  }();
  return numbers.data() + 256 + first;
}

uint32_t ReadBits(const uint8_t* words, int64_t stride, int64_t first, int bits) {
  const auto word = [&](int64_t index) {
    uint32_t value;
    std::memcpy(&value, words + index * stride * 4, 4);
    return value;
  };
  const int64_t index = first / 32;
  const int shift = static_cast<int>(first % 32);
  uint32_t value = word(index) >> shift;
  if (shift + bits > 32) value |= word(index + 1) << (32 - shift);
  return value & ((1u << bits) - 1);
}

float StoredCodes::Scale(int64_t index) const {
  const SourceType type = spec.scales->type;
  const uint8_t* const at = scales.data() + static_cast<size_t>(index) * ElementBytes(type);
  uint32_t bits = 0;
  std::memcpy(&bits, at, ElementBytes(type));
  float scale = 0;
  switch (type) {
    case SourceType::kF16:
      scale = F16ToFloat(static_cast<uint16_t>(bits));
      break;
    case SourceType::kBF16:
      scale = Bf16ToFloat(static_cast<uint16_t>(bits));
      break;
    case SourceType::kF8E4M3:
      scale = F8E4M3ToFloat(static_cast<uint8_t>(bits));
      break;
    case SourceType::kF8E8M0:
      scale = F8E8M0ToFloat(static_cast<uint8_t>(bits));
      break;
    default:
      scale = std::bit_cast<float>(bits);
  }
  return spec.divides ? scale / global_scale : scale * global_scale;
}

void CodedRow::Floats(int64_t block_cols, int64_t begin, int64_t end, float* output) const {
  for (int64_t col = begin; col < end; ++col) {
    const auto block = static_cast<size_t>(blocks != nullptr ? blocks[col] : col / block_cols);
    const float value = table[codes[static_cast<size_t>(col)]];
    const float scaled = (zeros.empty() ? value : value - zeros[block]) * scales[block];
    *output++ = minima.empty() ? scaled : scaled - minima[block];
  }
}

const CodeDecoder& CodeDecoderOf(MatrixEncoding encoding) {
  static constexpr const CodeDecoder* kDecoders[] = {&kScaledDecoder, &kPackedRowsDecoder,
                                                     &kGptqDecoder,   &kAwqDecoder,
                                                     &kFp4Decoder,    &kBlocksDecoder};
  return *kDecoders[static_cast<size_t>(encoding) - 1];
}

}  // namespace conclave
