#include "conclave/engine/tensor_loader.h"

#include <algorithm>
#include <cstring>

#include "conclave/base/message.h"
#include "conclave/weights/decoded_source.h"

namespace conclave {

uint64_t SourceBytes(const LinearSpec& linear) {
  return linear.weight.bytes() + (linear.bias ? linear.bias->bytes() : 0);
}

uint64_t SourceBytes(const FfnSpec& ffn) {
  return (ffn.gate ? SourceBytes(*ffn.gate) : 0) + SourceBytes(ffn.up) + SourceBytes(ffn.down);
}

void RequireFormat(const Backend& backend, WeightsFormat format) {
  const Capabilities capabilities = backend.capabilities();
  const auto& formats = capabilities.formats;
  if (std::find(formats.begin(), formats.end(), format) == formats.end()) {
    Fail(ErrorCode::kUnsupported, "weights: the ", capabilities.name,
         " backend has no kernels for ", NameOf(format));
  }
}

FfnPtr PackFfn(Backend& backend, const WeightStore& store, const FfnSpec& ffn, Range width,
               uint32_t* crc) {
  const FfnParts parts(ffn, width);
  const auto bias = [&](const LinearSpec& linear, Range part) {
    return linear.bias ? backend.Store(store.Bias(linear, part)) : nullptr;
  };
  const auto gate = ffn.gate ? store.Matrix(ffn.gate->weight, parts.gate_up, crc) : nullptr;
  const auto up = store.Matrix(ffn.up.weight, parts.gate_up, crc);
  const auto down = store.Matrix(ffn.down.weight, parts.down, crc);
  return backend.PackFfn(
      {.gate = gate.get(),
       .up = *up,
       .down = *down,
       .gate_bias = ffn.gate ? bias(*ffn.gate, width) : nullptr,
       .up_bias = bias(ffn.up, width),
       .down_bias = width.begin == 0 ? bias(ffn.down, {0, ffn.down.out()}) : nullptr,
       .activation = ffn.activation},
      store.format());
}

TensorLoader::TensorLoader(const WeightStore& store, Backend& backend, LoadMonitor& monitor)
    : store_(store), backend_(backend), monitor_(monitor) {
  RequireFormat(backend, store.format());
}

MatrixPtr TensorLoader::Matrix(const MatrixSpec& matrix, const Rectangle& part) {
  return Matrix(matrix, part, store_.format());
}

MatrixPtr TensorLoader::Matrix(const MatrixSpec& matrix, const Rectangle& part,
                               WeightsFormat format) {
  MatrixPtr packed = backend_.Pack(*store_.Matrix(matrix, part), format);
  monitor_.Add(matrix.bytes());
  return packed;
}

MatrixPtr TensorLoader::Rows(const MatrixSpec& matrix, Range rows) {
  const auto source = store_.Matrix(matrix, {rows, {0, matrix.cols()}});
  monitor_.Add(matrix.bytes() / static_cast<uint64_t>(matrix.rows() / rows.size()));
  return backend_.Pack(*source, store_.format());
}

MatrixPtr TensorLoader::TransposedRows(const MatrixSpec& matrix, Range rows) {
  const auto source = store_.Matrix(matrix, {rows, {0, matrix.cols()}});
  const size_t element = ElementBytes(source->type());
  const auto [height, width] = std::pair(source->rows(), source->cols());
  std::vector<uint8_t> row(static_cast<size_t>(width) * element);
  std::vector<uint8_t> turned(row.size() * static_cast<size_t>(height));
  for (int64_t r = 0; r < height; ++r) {
    source->Raw(r, row.data());
    for (int64_t c = 0; c < width; ++c) {
      std::memcpy(turned.data() + static_cast<size_t>(c * height + r) * element,
                  row.data() + static_cast<size_t>(c) * element, element);
    }
  }
  MemorySource transposed(turned.data(), source->type(), width, height, height);
  monitor_.Add(matrix.bytes() / static_cast<uint64_t>(matrix.rows() / rows.size()));
  return backend_.Pack(transposed, store_.format());
}

VectorPtr TensorLoader::Vector(const TensorRef& tensor) {
  return Vector(tensor, {0, tensor.elements()});
}

VectorPtr TensorLoader::Vector(const TensorRef& tensor, Range part) {
  VectorPtr stored = backend_.Store(store_.Vector(tensor, part));
  monitor_.Add(tensor.bytes());
  return stored;
}

VectorPtr TensorLoader::Vector(const std::optional<TensorRef>& tensor, Range part) {
  return tensor ? Vector(*tensor, part) : nullptr;
}

VectorPtr TensorLoader::Bias(const LinearSpec& linear, Range part) {
  if (!linear.bias) return nullptr;
  VectorPtr stored = backend_.Store(store_.Bias(linear, part));
  monitor_.Add(linear.bias->bytes());
  return stored;
}

std::vector<float> TensorLoader::Floats(const TensorRef& tensor, Range part) {
  std::vector<float> values = store_.Vector(tensor, part);
  monitor_.Add(tensor.bytes());
  return values;
}

std::vector<float> TensorLoader::Floats(const MatrixSpec& matrix, Range rows) {
  const auto source = store_.Matrix(matrix, {rows, {0, matrix.cols()}});
  std::vector<float> values(static_cast<size_t>(rows.size() * matrix.cols()));
  for (int64_t row = 0; row < rows.size(); ++row)
    source->Floats(row, values.data() + row * matrix.cols());
  monitor_.Add(matrix.bytes());
  return values;
}

std::vector<int32_t> TensorLoader::Ids(const TensorRef& tensor, int64_t count) {
  const size_t element = ElementBytes(tensor.type);
  std::vector<uint8_t> bytes(tensor.bytes());
  store_.ReadBytes(tensor, 0, bytes.size(), bytes.data());
  std::vector<int32_t> ids;
  for (size_t i = 0; i < bytes.size() / element; ++i) {
    int64_t id = 0;
    if (tensor.type == SourceType::kI64) {
      std::memcpy(&id, bytes.data() + i * element, element);
    } else {
      int32_t narrow;
      std::memcpy(&narrow, bytes.data() + i * element, element);
      id = narrow;
    }
    if (id < 0 || id >= count) {
      Fail(ErrorCode::kCorruptCheckpoint, "tensor ", tensor.name, ": element ", i,
           ": expected 0 to ", count - 1, ", got ", id);
    }
    ids.push_back(static_cast<int32_t>(id));
  }
  monitor_.Add(tensor.bytes());
  return ids;
}

VectorPtr TensorLoader::NormWeight(const NormSpec& norm, Range part) {
  std::vector<float> values(static_cast<size_t>(part.size()), 1.0f);
  if (norm.weight) {
    values = store_.Vector(*norm.weight, part);
    monitor_.Add(norm.weight->bytes());
    if (norm.weight_offset != 0) {
      for (float& value : values) value += norm.weight_offset;
    }
  }
  if (norm.weight_multiplier != 1) {
    for (float& value : values) value *= norm.weight_multiplier;
  }
  return backend_.Store(std::move(values));
}

FfnPtr TensorLoader::Ffn(const FfnSpec& ffn, Range width) {
  FfnPtr packed = PackFfn(backend_, store_, ffn, width);
  monitor_.Add(SourceBytes(ffn));
  return packed;
}

EmbeddingPtr TensorLoader::Embedding(const MatrixSpec& table) {
  EmbeddingPtr packed =
      backend_.PackEmbedding(*store_.Matrix(table, Whole(table)), store_.format());
  monitor_.Add(table.bytes());
  return packed;
}

}  // namespace conclave
