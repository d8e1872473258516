#include "kernels/cuda/backend/weights.h"

#include <algorithm>

#include "conclave/base/expect.h"
#include "conclave/base/number_formats.h"
#include "kernels/cuda/backend/loading/encoded_row.h"

namespace conclave::cuda {
namespace {

constexpr size_t kAlignment = 256;
// Columns of scales that a block of a kernel reads.
constexpr int64_t kScaleColumns = 64;

size_t Aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Scales or zeros of all rows: one row of the table for each group of columns.
class GroupTable {
 public:
  GroupTable(int64_t groups, int64_t stride, bool halves)
      : stride_(static_cast<size_t>(stride)),
        halves_(halves),
        values_(static_cast<size_t>(groups) * stride_) {}

  void Set(int64_t row, const std::vector<float>& of_groups) {
    for (size_t group = 0; group < of_groups.size(); ++group)
      values_[group * stride_ + static_cast<size_t>(row)] = of_groups[group];
  }
  size_t bytes() const { return values_.size() * (halves_ ? 2 : 4); }
  void CopyTo(void* target, WeightUpload& upload) const {
    if (!halves_) return upload.SendAll(target, values_.data(), bytes());
    std::vector<uint16_t> rounded(values_.size());
    std::transform(values_.begin(), values_.end(), rounded.begin(), FloatToF16);
    upload.SendAll(target, rounded.data(), bytes());
  }

 private:
  size_t stride_;
  bool halves_;
  std::vector<float> values_;
};

// Encodes rows in pieces and copies each to the device while the next one is encoded.
template <typename Row>
void CopyRows(int64_t rows, size_t row_bytes, uint8_t* target, WeightUpload& upload,
              const Row& encode) {
  const int64_t piece =
      std::max<int64_t>(1, static_cast<int64_t>(WeightUpload::kPieceBytes / row_bytes));
  for (int64_t first = 0; first < rows; first += piece) {
    const int64_t end = std::min(rows, first + piece);
    const size_t bytes = static_cast<size_t>(end - first) * row_bytes;
    uint8_t* const staged = upload.Piece(bytes);
    for (int64_t row = first; row < end; ++row)
      encode(row, staged + static_cast<size_t>(row - first) * row_bytes);
    upload.Send(target + static_cast<size_t>(first) * row_bytes, bytes);
  }
}

}  // namespace

CudaMatrix::CudaMatrix(MatrixSource& source, WeightsFormat format, WeightLoading& loading)
    : storage_(StorageOf(source, format)) {
  Expect(source.rows() >= 1 && source.rows() <= INT32_MAX, "weights.rows", "1 to 2^31 - 1",
         source.rows());
  Expect(source.cols() >= 1 && source.cols() <= INT32_MAX, "weights.cols", "1 to 2^31 - 1",
         source.cols());
  const int64_t stride = StrideOf(storage_, source.cols());
  const int64_t groups = IsQuantised(storage_) ? stride / kQuantisedGroup : 0;
  const int64_t scale_stride = (source.rows() + kScaleColumns - 1) / kScaleColumns * kScaleColumns;
  const size_t row_bytes = RowBytes(storage_, stride);
  const size_t data_bytes = Aligned(static_cast<size_t>(source.rows()) * row_bytes);
  GroupTable scales(groups, scale_stride, storage_ != Storage::kQ8);
  GroupTable zeros(storage_ == Storage::kQ4Zeros ? groups : 0, scale_stride, true);
  memory_ = loading.Take(data_bytes + Aligned(scales.bytes()) + zeros.bytes());
  uint8_t* const scale_data = memory_.data() + data_bytes;
  uint8_t* const zero_data = scale_data + Aligned(scales.bytes());

  RowEncoder encoder(source, storage_);
  loading.Run([&](WeightUpload& upload) {
    CopyRows(source.rows(), row_bytes, memory_.data(), upload, [&](int64_t row, uint8_t* output) {
      encoder.Encode(row, output);
      if (groups > 0) scales.Set(row, encoder.scales());
      if (storage_ == Storage::kQ4Zeros) zeros.Set(row, encoder.zeros());
    });
    if (groups > 0) scales.CopyTo(scale_data, upload);
    if (storage_ == Storage::kQ4Zeros) zeros.CopyTo(zero_data, upload);
  });
  view_ = {.data = memory_.data(),
           .scales = scale_data,
           .zeros = zero_data,
           .rows = static_cast<int>(source.rows()),
           .cols = static_cast<int>(source.cols()),
           .stride = static_cast<int>(stride),
           .scale_stride = static_cast<int>(scale_stride)};
}

CudaVector::CudaVector(const std::vector<float>& values, WeightLoading& loading)
    : size_(static_cast<int64_t>(values.size())),
      memory_(loading.Take(values.size() * sizeof(float))) {
  if (size_ == 0) return;
  loading.Run([&](WeightUpload& upload) {
    upload.SendAll(memory_.data(), values.data(), memory_.bytes());
  });
}

size_t CudaFfn::bytes() const {
  size_t bytes = (own_gate ? own_gate->bytes() : 0) + up.bytes() + down.bytes();
  for (const VectorPtr& bias : {gate_bias, up_bias, down_bias}) bytes += bias ? bias->bytes() : 0;
  return bytes;
}

CudaEmbedding::CudaEmbedding(MatrixSource& source, WeightsFormat format, WeightLoading& loading)
    : type_(format == WeightsFormat::kBF16 || (source.coded() && format != WeightsFormat::kF32)
                ? SourceType::kBF16
                : source.type()) {
  const size_t row_bytes = static_cast<size_t>(source.cols()) * ElementBytes(type_);
  memory_ = loading.Take(static_cast<size_t>(source.rows()) * row_bytes);
  loading.Run([&](WeightUpload& upload) {
    CopyRows(source.rows(), row_bytes, memory_.data(), upload, [&](int64_t row, uint8_t* output) {
      if (type_ == source.type()) {
        source.Raw(row, output);
      } else {
        source.Bf16(row, reinterpret_cast<uint16_t*>(output));
      }
    });
  });
}

}  // namespace conclave::cuda
