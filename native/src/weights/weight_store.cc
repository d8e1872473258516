#include "conclave/weights/weight_store.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "conclave/base/message.h"
#include "decode/decoder.h"
#include "tensor_source.h"

namespace conclave {
namespace {

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

Rectangle Whole(const TensorRef& tensor) { return {{0, tensor.shape[0]}, {0, tensor.shape[1]}}; }

WeightStore::WeightStore(const std::string& directory, ModelSpec spec, WeightsFormat format)
    : spec_(std::move(spec)), format_(format) {
  ValidateSpec(spec_);
  for (const CheckpointFile& file : spec_.files) {
    files_.push_back(
        std::make_unique<WeightFile>(CheckpointPath(directory, file.path), file.bytes));
  }
}

std::unique_ptr<MatrixSource> WeightStore::Matrix(const TensorRef& tensor, const Rectangle& part,
                                                  uint32_t* crc) const {
  Prefetch(tensor, {part.rows.begin * tensor.shape[1], part.rows.end * tensor.shape[1]});
  return std::make_unique<TensorSource>(*this, tensor, part, crc);
}

std::vector<float> WeightStore::Vector(const TensorRef& tensor, Range part) const {
  std::vector<uint8_t> bytes(static_cast<size_t>(part.size()) * ElementBytes(tensor.type));
  Read(tensor, part, bytes.data());
  std::vector<float> values(static_cast<size_t>(part.size()));
  DecoderOf(tensor.type).floats(bytes.data(), part.size(), values.data());
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      Fail(ErrorCode::kCorruptCheckpoint, "tensor ", tensor.name, ": element ",
           part.begin + static_cast<int64_t>(i), " is ", values[i]);
    }
  }
  return values;
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
