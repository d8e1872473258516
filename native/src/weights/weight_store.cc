#include "conclave/weights/weight_store.h"

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

static_assert(std::endian::native == std::endian::little, "checkpoints are little-endian");

// `bytes` may be unaligned.
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

Rectangle Whole(const TensorRef& tensor) { return {{0, tensor.shape[0]}, {0, tensor.shape[1]}}; }

WeightStore::WeightStore(const std::string& directory, ModelSpec spec, WeightsFormat format)
    : spec_(std::move(spec)), format_(format) {
  ValidateSpec(spec_);
  for (const CheckpointFile& file : spec_.files) {
    files_.push_back(
        std::make_unique<MappedFile>(CheckpointPath(directory, file.path), file.bytes));
  }
}

const uint8_t* WeightStore::Data(const TensorRef& tensor) const {
  return files_[tensor.file]->data() + tensor.offset;
}

PackedMatrix WeightStore::Pack(const MatmulKernels& kernels, const TensorRef& tensor,
                               const Rectangle& part, WeightsFormat format) const {
  PopulateElements(tensor, part.rows.begin * tensor.shape[1], part.rows.end * tensor.shape[1]);
  const size_t element = ElementBytes(tensor.type);
  const int64_t stride = tensor.shape[1];
  const uint8_t* first =
      Data(tensor) + static_cast<size_t>(part.rows.begin * stride + part.cols.begin) * element;
  SourceMatrix source{first, tensor.type, part.rows.size(), part.cols.size(), stride};
  // Kernels read whole elements; a file may place a tensor at any byte.
  std::vector<float> aligned;
  if (reinterpret_cast<uintptr_t>(first) % element != 0) {
    aligned.resize((static_cast<size_t>(source.rows * source.cols) * element + 3) / 4);
    for (int64_t row = 0; row < source.rows; ++row) {
      std::memcpy(reinterpret_cast<uint8_t*>(aligned.data()) +
                      static_cast<size_t>(row * source.cols) * element,
                  first + static_cast<size_t>(row * stride) * element,
                  static_cast<size_t>(source.cols) * element);
    }
    source.data = aligned.data();
    source.stride = source.cols;
  }
  try {
    return kernels.Pack(source, format);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNonFinite) throw;
    Fail(ErrorCode::kCorruptCheckpoint, "tensor ", tensor.name, ": ", error.what());
  }
}

std::vector<float> WeightStore::Vector(const TensorRef& tensor, Range part) const {
  PopulateElements(tensor, part.begin, part.end);
  std::vector<float> values(static_cast<size_t>(part.size()));
  Widen(tensor.type, Data(tensor) + static_cast<size_t>(part.begin) * ElementBytes(tensor.type),
        part.size(), values.data());
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      Fail(ErrorCode::kCorruptCheckpoint, "tensor ", tensor.name, ": element ",
           part.begin + static_cast<int64_t>(i), " is ", values[i]);
    }
  }
  return values;
}

uint32_t WeightStore::Checksum(uint32_t crc, const TensorRef& tensor, const Rectangle& part) const {
  PopulateElements(tensor, part.rows.begin * tensor.shape[1], part.rows.end * tensor.shape[1]);
  const size_t element = ElementBytes(tensor.type);
  for (int64_t row = part.rows.begin; row < part.rows.end; ++row) {
    const uint8_t* first =
        Data(tensor) + static_cast<size_t>(row * tensor.shape[1] + part.cols.begin) * element;
    crc = Crc32(crc, first, static_cast<size_t>(part.cols.size()) * element);
  }
  return crc;
}

void WeightStore::ReadRow(const TensorRef& tensor, int64_t row, float* output) const {
  const int64_t width = tensor.shape[1];
  Widen(tensor.type, Data(tensor) + static_cast<size_t>(row * width) * ElementBytes(tensor.type),
        width, output);
  if (format_ == WeightsFormat::kBF16 && tensor.type != SourceType::kBF16) {
    for (int64_t i = 0; i < width; ++i) output[i] = Bf16ToFloat(FloatToBf16(output[i]));
  }
}

void WeightStore::Populate(const TensorRef& tensor) const {
  PopulateElements(tensor, 0, tensor.elements());
}

void WeightStore::PopulateElements(const TensorRef& tensor, int64_t begin, int64_t end) const {
  const size_t element = ElementBytes(tensor.type);
  files_[tensor.file]->Populate(tensor.offset + static_cast<uint64_t>(begin) * element,
                                static_cast<uint64_t>(end - begin) * element);
}

void WeightStore::Release(const TensorRef& tensor) const {
  files_[tensor.file]->Release(tensor.offset, tensor.bytes());
}

}  // namespace conclave
