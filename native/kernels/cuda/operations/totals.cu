// Exact sums: see exact_sum.h. Each total is an integer in an f64, and added to by one thread.

#include <cstring>

#include "kernels/cuda/backend/cuda_backend.h"
#include "kernels/cuda/device/exact_sum.h"
#include "kernels/cuda/runtime/launch.h"

namespace conclave::cuda {
namespace {

struct AddOnGrid {
  const float* terms;
  const int32_t* grid;  // [rows]
  int64_t width;
  double* totals;
  __device__ void operator()(int64_t i) const { totals[i] += Steps(terms[i], grid[i / width]); }
};

// x += multiplier * totals; or x = totals.
template <bool kAdds>
struct TakeFromGrid {
  const double* totals;
  const int32_t* grid;  // [rows]
  int64_t width;
  float multiplier;
  float* x;
  __device__ void operator()(int64_t i) const {
    const auto total = static_cast<float>(scalbn(totals[i], grid[i / width]));
    x[i] = kAdds ? x[i] + multiplier * total : total;
  }
};

// totals[rows[r], i] += the r-th row of encoded totals, whose bytes need not be aligned.
struct AddEncodedRow {
  const uint8_t* bytes;
  const int32_t* rows;
  int64_t width;
  int size;
  double* totals;

  __device__ double Decode(int64_t i) const {
    uint64_t bits = 0;
    for (int b = 0; b < size; ++b) bits |= uint64_t{bytes[i * size + b]} << 8 * b;
    if (size == 8) {
      double value;
      memcpy(&value, &bits, 8);
      return value;
    }
    // The integer's bytes as the upper ones of four, so that its sign comes along.
    const int shift = 32 - 8 * size;
    return static_cast<int32_t>(static_cast<uint32_t>(bits) << shift) >> shift;
  }
  __device__ void operator()(int64_t i) const {
    totals[rows[i / width] * width + i % width] += Decode(i);
  }
};

// The widest encoding that a total needs.
struct FindType {
  const double* totals;
  int* type;
  __device__ void operator()(int64_t i) const {
    const double magnitude = fabs(totals[i]);
    PartialType needed = PartialType::kI24;
    if (!(magnitude < 0x1p23)) needed = PartialType::kI32;
    if (!(magnitude < 0x1p31)) needed = PartialType::kF64;
    if (needed != PartialType::kI24) atomicMax(type, static_cast<int>(needed));
  }
};

struct EncodeInteger {
  const double* totals;
  int size;
  uint8_t* bytes;
  __device__ void operator()(int64_t i) const {
    const auto value = static_cast<uint32_t>(static_cast<int32_t>(totals[i]));
    for (int b = 0; b < size; ++b) bytes[i * size + b] = static_cast<uint8_t>(value >> 8 * b);
  }
};

}  // namespace

void CudaBackend::Clear(const Totals& totals) {
  if (totals.elements() == 0) return;
  stream_.Zero(DevicePointer(totals), static_cast<size_t>(totals.elements()) * sizeof(double),
               "totals");
}

void CudaBackend::AddTerms(const Tensor& terms, const Grid& grid, const Totals& totals) {
  LaunchElements(
      stream_, "terms", totals.elements(),
      AddOnGrid{DevicePointer(terms), DevicePointer(grid), totals.width, DevicePointer(totals)});
}

void CudaBackend::AddEncoded(std::span<const int32_t> rows, PartialType type,
                             std::span<const uint8_t> bytes, const Totals& totals) {
  const Arena::Scope scope(scratch());
  LaunchElements(
      stream_, "partial sums", static_cast<int64_t>(rows.size()) * totals.width,
      AddEncodedRow{Send(bytes, "partial sums"), Send(rows, "rows of partial sums"), totals.width,
                    static_cast<int>(PartialBytes(type)), DevicePointer(totals)});
}

void CudaBackend::AddTotals(const Totals& totals, const Grid& grid, float multiplier,
                            const Tensor& x) {
  LaunchElements(stream_, "sum of totals", totals.elements(),
                 TakeFromGrid<true>{DevicePointer(totals), DevicePointer(grid), totals.width,
                                    multiplier, DevicePointer(x)});
}

void CudaBackend::TakeTotals(const Totals& totals, const Grid& grid, const Tensor& output) {
  LaunchElements(stream_, "totals", totals.elements(),
                 TakeFromGrid<false>{DevicePointer(totals), DevicePointer(grid), totals.width, 1,
                                     DevicePointer(output)});
}

EncodedTotals CudaBackend::Encode(const Totals& totals) {
  const Arena::Scope scope(scratch());
  int widest = static_cast<int>(PartialType::kI24);
  int* const type = Scratch<int>(1, 1);
  stream_.Zero(type, sizeof(int), "encoding of totals");
  LaunchElements(stream_, "encoding of totals", totals.elements(),
                 FindType{DevicePointer(totals), type});
  Receive(type, &widest, sizeof widest, "encoding of totals");
  Synchronise();
  EncodedTotals encoded{static_cast<PartialType>(widest), {}};
  const size_t size = PartialBytes(encoded.type);
  encoded.partial.resize(static_cast<size_t>(totals.elements()) * size);
  const void* bytes = DevicePointer(totals);
  if (encoded.type != PartialType::kF64) {
    uint8_t* const integers =
        Scratch<uint8_t>(totals.rows, totals.width * static_cast<int64_t>(size));
    LaunchElements(stream_, "encoding of totals", totals.elements(),
                   EncodeInteger{DevicePointer(totals), static_cast<int>(size), integers});
    bytes = integers;
  }
  Receive(bytes, encoded.partial.data(), encoded.partial.size(), "encoding of totals");
  Synchronise();
  return encoded;
}

}  // namespace conclave::cuda
