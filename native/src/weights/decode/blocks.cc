#include <cstring>

#include "codes.h"
#include "conclave/base/number_formats.h"

namespace conclave {
namespace {

constexpr float kIq4[] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

float Half(const uint8_t* bytes) {
  uint16_t bits;
  std::memcpy(&bits, bytes, 2);
  return F16ToFloat(bits);
}

// Where a block's elements go: codes, and scale and minimum of each group of them.
struct Output {
  uint8_t* codes;
  float* scales;
  float* minima;
};

// 16 bytes of which the lower halves are codes 0 to 15 and the upper ones 16 to 31.
void Halves(const uint8_t* bytes, uint8_t* codes) {
  for (int i = 0; i < 16; ++i) {
    codes[i] = bytes[i] & 15;
    codes[i + 16] = bytes[i] >> 4;
  }
}

// A fifth bit of each of 32 codes.
void AddFifth(const uint8_t* bytes, uint8_t* codes) {
  uint32_t bits;
  std::memcpy(&bits, bytes, 4);
  for (int i = 0; i < 32; ++i) codes[i] |= static_cast<uint8_t>((bits >> i & 1) << 4);
}

// Blocks of 32: a scale, a minimum where `kMinimum`, fifth bits where `kFive`, codes.
template <bool kMinimum, bool kFive>
void Simple(const uint8_t* block, const Output& out) {
  *out.scales = Half(block);
  if (kMinimum) *out.minima = -Half(block + 2);
  const uint8_t* const codes = block + (kMinimum ? 4 : 2) + (kFive ? 4 : 0);
  Halves(codes, out.codes);
  if (kFive) AddFifth(codes - 4, out.codes);
}

void Q8_0(const uint8_t* block, const Output& out) {
  *out.scales = Half(block);
  std::memcpy(out.codes, block + 2, 32);
}

void Mxfp4(const uint8_t* block, const Output& out) {
  *out.scales = F8E8M0ToFloat(block[0]);
  Halves(block + 1, out.codes);
}

// Two bits of each of 256 codes, from 64 bytes.
uint8_t TwoBits(const uint8_t* bytes, int element) {
  return bytes[element / 128 * 32 + element % 32] >> (element % 128 / 32 * 2) & 3;
}

void Q2K(const uint8_t* block, const Output& out) {
  const float d = Half(block + 80);
  const float dmin = Half(block + 82);
  for (int group = 0; group < 16; ++group) {
    out.scales[group] = d * static_cast<float>(block[group] & 15);
    out.minima[group] = dmin * static_cast<float>(block[group] >> 4);
  }
  for (int i = 0; i < 256; ++i) out.codes[i] = TwoBits(block + 16, i);
}

void Q3K(const uint8_t* block, const Output& out) {
  const uint8_t* const scales = block + 96;
  const float d = Half(block + 108);
  for (int group = 0; group < 16; ++group) {
    const int low = group < 8 ? scales[group] & 15 : scales[group - 8] >> 4;
    const int high = scales[8 + group % 4] >> (group / 4 * 2) & 3;
    out.scales[group] = d * static_cast<float>((low | high << 4) - 32);
  }
  for (int i = 0; i < 256; ++i) {
    const int third = block[i % 32] >> (i / 128 * 4 + i % 128 / 32) & 1;
    out.codes[i] = static_cast<uint8_t>(TwoBits(block + 32, i) | third << 2);
  }
}

// Scale and minimum of each of eight groups, in six bits each.
void SixBitScales(const uint8_t* block, const Output& out) {
  const float d = Half(block);
  const float dmin = Half(block + 2);
  const uint8_t* const packed = block + 4;
  for (int group = 0; group < 8; ++group) {
    int scale = packed[group] & 63;
    int minimum = packed[group + 4] & 63;
    if (group >= 4) {
      scale = (packed[group + 4] & 15) | packed[group - 4] >> 6 << 4;
      minimum = packed[group + 4] >> 4 | packed[group] >> 6 << 4;
    }
    out.scales[group] = d * static_cast<float>(scale);
    out.minima[group] = dmin * static_cast<float>(minimum);
  }
}

uint8_t NibbleOfK(const uint8_t* bytes, int element) {
  return bytes[element / 64 * 32 + element % 32] >> (element / 32 % 2 * 4) & 15;
}

void Q4K(const uint8_t* block, const Output& out) {
  SixBitScales(block, out);
  for (int i = 0; i < 256; ++i) out.codes[i] = NibbleOfK(block + 16, i);
}

void Q5K(const uint8_t* block, const Output& out) {
  SixBitScales(block, out);
  for (int i = 0; i < 256; ++i) {
    const int fifth = block[16 + i % 32] >> (i / 32) & 1;
    out.codes[i] = static_cast<uint8_t>(NibbleOfK(block + 48, i) | fifth << 4);
  }
}

void Q6K(const uint8_t* block, const Output& out) {
  const float d = Half(block + 208);
  for (int group = 0; group < 16; ++group)
    out.scales[group] = d * static_cast<float>(static_cast<int8_t>(block[192 + group]));
  for (int i = 0; i < 256; ++i) {
    const int quarter = i % 128 / 32;
    const int low = block[i / 128 * 64 + quarter % 2 * 32 + i % 32] >> (quarter / 2 * 4) & 15;
    out.codes[i] = static_cast<uint8_t>(low | TwoBits(block + 128, i) << 4);
  }
}

void Iq4Xs(const uint8_t* block, const Output& out) {
  const float d = Half(block);
  uint16_t high;
  std::memcpy(&high, block + 2, 2);
  for (int group = 0; group < 8; ++group) {
    const int low = block[4 + group / 2] >> (group % 2 * 4) & 15;
    out.scales[group] = d * static_cast<float>((low | (high >> (group * 2) & 3) << 4) - 32);
    Halves(block + 8 + group * 16, out.codes + group * 32);
  }
}

struct BlockDecoder {
  void (*decode)(const uint8_t* block, const Output& output);
  const float* table;
  int64_t group;  // elements that share a scale
  bool minima;
};

// By BlockType.
const BlockDecoder& DecoderOf(BlockType type) {
  static const BlockDecoder kDecoders[] = {
      {Simple<false, false>, CountingTable(-8), 32, false},
      {Simple<true, false>, CountingTable(0), 32, true},
      {Simple<false, true>, CountingTable(-16), 32, false},
      {Simple<true, true>, CountingTable(0), 32, true},
      {Q8_0, Int8Table(), 32, false},
      {Q2K, CountingTable(0), 16, true},
      {Q3K, CountingTable(-4), 16, false},
      {Q4K, CountingTable(0), 32, true},
      {Q5K, CountingTable(0), 32, true},
      {Q6K, CountingTable(-32), 16, false},
      {Simple<false, false>, kIq4, 32, false},
      {Iq4Xs, kIq4, 32, false},
      {Mxfp4, kE2M1, 32, false},
  };
  return kDecoders[static_cast<size_t>(type)];
}

void Decode(const StoredCodes& stored, int64_t row, CodedRow& output) {
  const MatrixCodes& spec = stored.spec;
  const BlockDecoder& decoder = DecoderOf(spec.block_type);
  const BlockSize size = SizeOf(spec.block_type);
  const auto groups = static_cast<size_t>(spec.cols / decoder.group);
  output.table = decoder.table;
  output.codes.resize(static_cast<size_t>(spec.cols));
  output.scales.resize(groups);
  output.minima.resize(decoder.minima ? groups : 0);
  const uint8_t* block = stored.Row(row);
  for (int64_t first = 0; first < spec.cols; first += size.elements, block += size.bytes) {
    const int64_t group = first / decoder.group;
    decoder.decode(block, {output.codes.data() + first, output.scales.data() + group,
                           decoder.minima ? output.minima.data() + group : nullptr});
  }
}

}  // namespace

const CodeDecoder kBlocksDecoder = {MatrixEncoding::kBlocks, true, Decode};

}  // namespace conclave
