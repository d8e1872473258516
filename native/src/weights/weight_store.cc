#include "conclave/weights/weight_store.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "coded_source.h"
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

Rectangle Whole(const MatrixSpec& matrix) { return {{0, matrix.rows()}, {0, matrix.cols()}}; }

WeightStore::WeightStore(const std::string& directory, ModelSpec spec, WeightsFormat format)
    : spec_(std::move(spec)), format_(format) {
  ValidateSpec(spec_);
  for (const CheckpointFile& file : spec_.files) {
    files_.push_back(
        std::make_unique<WeightFile>(CheckpointPath(directory, file.path), file.bytes));
  }
}

std::unique_ptr<MatrixSource> WeightStore::Matrix(const MatrixSpec& matrix, const Rectangle& part,
                                                  uint32_t* crc) const {
  const TensorRef& tensor = matrix.data;
  if (matrix.codes) return std::make_unique<CodedSource>(*this, matrix, part, crc);
  const Range rows = matrix.region ? Range{0, tensor.shape[0]} : part.rows;
  Prefetch(tensor, {rows.begin * tensor.shape[1], rows.end * tensor.shape[1]});
  return std::make_unique<TensorSource>(*this, matrix, part, crc);
}

std::vector<float> WeightStore::Vector(const TensorRef& tensor, Range part) const {
  std::vector<float> values(static_cast<size_t>(part.size()));
  if (values.empty()) return values;
  std::vector<uint8_t> bytes(values.size() * ElementBytes(tensor.type));
  Read(tensor, part, bytes.data());
  DecoderOf(tensor.type).floats(bytes.data(), part.size(), values.data());
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      Fail(ErrorCode::kCorruptCheckpoint, "tensor ", tensor.name, ": element ",
           part.begin + static_cast<int64_t>(i), " is ", values[i]);
    }
  }
  return values;
}

std::vector<float> WeightStore::Bias(const LinearSpec& linear, Range part) const {
  if (part.size() == 0) return {};
  const int64_t first = linear.BiasElement(part.begin);
  const std::vector<float> stored =
      Vector(*linear.bias, {first, linear.BiasElement(part.end - 1) + 1});
  std::vector<float> values;
  for (int64_t i = part.begin; i < part.end; ++i)
    values.push_back(stored[static_cast<size_t>(linear.BiasElement(i) - first)]);
  return values;
}

void WeightStore::Read(const TensorRef& tensor, Range elements, void* output) const {
  const size_t element = ElementBytes(tensor.type);
  files_[tensor.file]->Read(tensor.offset + static_cast<uint64_t>(elements.begin) * element,
                            static_cast<uint64_t>(elements.size()) * element, output);
}

void WeightStore::ReadBytes(const TensorRef& tensor, uint64_t first, uint64_t count,
                            void* output) const {
  files_[tensor.file]->Read(tensor.offset + first, count, output);
}

void WeightStore::ReadRows(const MatrixSpec& matrix, const Rectangle& part, int64_t first,
                           int64_t count, uint8_t* output) const {
  const TensorRef& tensor = matrix.data;
  const MatrixRegion region = matrix.region.value_or(MatrixRegion());
  if (region.transposed) return ReadTransposed(matrix, part, first, count, output);
  const int64_t width = tensor.shape[1];
  const int64_t cols = part.cols.size();
  const int64_t row = region.StoredRow(first);
  if (cols == width && region.StoredRow(first + count - 1) == row + count - 1)
    return Read(tensor, {row * width, (row + count) * width}, output);
  const size_t row_bytes = static_cast<size_t>(cols) * ElementBytes(tensor.type);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t begin = region.StoredRow(first + i) * width + region.first_col + part.cols.begin;
    Read(tensor, {begin, begin + cols}, output + static_cast<size_t>(i) * row_bytes);
  }
}

// Each stored row holds an element of every row of the matrix.
void WeightStore::ReadTransposed(const MatrixSpec& matrix, const Rectangle& part, int64_t first,
                                 int64_t count, uint8_t* output) const {
  const TensorRef& tensor = matrix.data;
  const MatrixRegion& region = *matrix.region;
  const size_t element = ElementBytes(tensor.type);
  const int64_t cols = part.cols.size();
  const int64_t from = region.StoredRow(first);
  const int64_t span = region.StoredRow(first + count - 1) - from + 1;
  std::vector<uint8_t> stored(static_cast<size_t>(span) * element);
  for (int64_t c = 0; c < cols; ++c) {
    const int64_t begin = (region.first_col + part.cols.begin + c) * tensor.shape[1] + from;
    Read(tensor, {begin, begin + span}, stored.data());
    for (int64_t r = 0; r < count; ++r) {
      std::memcpy(output + static_cast<size_t>(r * cols + c) * element,
                  stored.data() + static_cast<size_t>(region.StoredRow(first + r) - from) * element,
                  element);
    }
  }
}

void WeightStore::Prefetch(const TensorRef& tensor, Range elements) const {
  const size_t element = ElementBytes(tensor.type);
  files_[tensor.file]->Prefetch(tensor.offset + static_cast<uint64_t>(elements.begin) * element,
                                static_cast<uint64_t>(elements.size()) * element);
}

}  // namespace conclave
