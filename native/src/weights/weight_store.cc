#include "conclave/weights/weight_store.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "conclave/base/activation.h"
#include "conclave/base/message.h"
#include "conclave/base/number_formats.h"
#include "conclave/weights/crc32.h"

namespace conclave {
namespace {

// Bytes that a checksum reads at a time.
constexpr int64_t kChecksumBytes = 256 << 10;

static_assert(std::endian::native == std::endian::little, "checkpoints are little-endian");

// A path from another machine must not lead out of the checkpoint folder.
std::string CheckpointPath(const std::string& directory, const std::string& path) {
  const std::filesystem::path relative(path);
  bool inside = !path.empty() && path.find('\0') == std::string::npos && relative.is_relative();
  for (const auto& part : relative) inside = inside && part != "..";
  if (!inside)
    Fail(ErrorCode::kInvalidArgument, "file \"", path,
         "\": expected a path within the checkpoint folder");
  return (std::filesystem::path(directory) / relative).string();
}

}  // namespace

void Widen(SourceType type, const uint8_t* bytes, int64_t count, float* output) {
  if (type != SourceType::kF16) {
    DecodeActivations(type == SourceType::kF32 ? ActivationType::kF32 : ActivationType::kBF16,
                      bytes, count, output);
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    uint16_t half;
    std::memcpy(&half, bytes + 2 * i, 2);
    output[i] = F16ToFloat(half);
  }
}

Rectangle Whole(const TensorRef& tensor) { return {{0, tensor.shape[0]}, {0, tensor.shape[1]}}; }

WeightStore::WeightStore(const std::string& directory, ModelSpec spec, WeightsFormat format)
    : spec_(std::move(spec)), format_(format) {
  ValidateSpec(spec_);
  for (const CheckpointFile& file : spec_.files) {
    files_.push_back(
        std::make_unique<WeightFile>(CheckpointPath(directory, file.path), file.bytes));
  }
}

PackedMatrix WeightStore::Pack(const MatmulKernels& kernels, const TensorRef& tensor,
                               const Rectangle& part, WeightsFormat format, uint32_t* crc) const {
  const int64_t cols = part.cols.size();
  const size_t row_bytes = static_cast<size_t>(cols) * ElementBytes(tensor.type);
  const auto read = [&](int64_t first, int64_t count, void* output) {
    auto* const bytes = static_cast<uint8_t*>(output);
    ReadRows(tensor, part, part.rows.begin + first, count, bytes);
    if (crc != nullptr) *crc = Crc32(*crc, bytes, static_cast<size_t>(count) * row_bytes);
  };
  Prefetch(tensor, {part.rows.begin * tensor.shape[1], part.rows.end * tensor.shape[1]});
  try {
    return kernels.Pack({nullptr, tensor.type, part.rows.size(), cols, cols, read}, format);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNonFinite) throw;
    Fail(ErrorCode::kCorruptCheckpoint, "tensor ", tensor.name, ": ", error.what());
  }
}

std::vector<float> WeightStore::Vector(const TensorRef& tensor, Range part) const {
  std::vector<uint8_t> bytes(static_cast<size_t>(part.size()) * ElementBytes(tensor.type));
  Read(tensor, part, bytes.data());
  std::vector<float> values(static_cast<size_t>(part.size()));
  Widen(tensor.type, bytes.data(), part.size(), values.data());
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      Fail(ErrorCode::kCorruptCheckpoint, "tensor ", tensor.name, ": element ",
           part.begin + static_cast<int64_t>(i), " is ", values[i]);
    }
  }
  return values;
}

uint32_t WeightStore::Checksum(uint32_t crc, const TensorRef& tensor, const Rectangle& part) const {
  const size_t row_bytes = static_cast<size_t>(part.cols.size()) * ElementBytes(tensor.type);
  const int64_t at_once = std::max<int64_t>(1, kChecksumBytes / static_cast<int64_t>(row_bytes));
  std::vector<uint8_t> bytes(static_cast<size_t>(std::min(at_once, part.rows.size())) * row_bytes);
  for (int64_t row = part.rows.begin; row < part.rows.end; row += at_once) {
    const int64_t count = std::min(at_once, part.rows.end - row);
    ReadRows(tensor, part, row, count, bytes.data());
    crc = Crc32(crc, bytes.data(), static_cast<size_t>(count) * row_bytes);
  }
  return crc;
}

void WeightStore::Read(const TensorRef& tensor, Range elements, void* output) const {
  const size_t element = ElementBytes(tensor.type);
  files_[tensor.file]->Read(tensor.offset + static_cast<uint64_t>(elements.begin) * element,
                            static_cast<uint64_t>(elements.size()) * element, output);
}

void WeightStore::ReadRows(const TensorRef& tensor, const Rectangle& part, int64_t first,
                           int64_t count, uint8_t* output) const {
  const int64_t width = tensor.shape[1];
  const int64_t cols = part.cols.size();
  if (cols == width) return Read(tensor, {first * width, (first + count) * width}, output);
  const size_t row_bytes = static_cast<size_t>(cols) * ElementBytes(tensor.type);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t begin = (first + i) * width + part.cols.begin;
    Read(tensor, {begin, begin + cols}, output + static_cast<size_t>(i) * row_bytes);
  }
}

void WeightStore::Prefetch(const TensorRef& tensor, Range elements) const {
  const size_t element = ElementBytes(tensor.type);
  files_[tensor.file]->Prefetch(tensor.offset + static_cast<uint64_t>(elements.begin) * element,
                                static_cast<uint64_t>(elements.size()) * element);
}

}  // namespace conclave
