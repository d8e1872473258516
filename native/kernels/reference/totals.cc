#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/reference/backend.h"
#include "kernels/reference/matrix.h"

namespace conclave {
namespace {

// The term in steps of the grid, to nearest even.
double Steps(float term, int exponent) {
  return std::nearbyint(std::ldexp(double{term}, -exponent));
}

}  // namespace

void ReferenceBackend::Experts(std::span<const ExpertGroup> groups,
                               std::span<const ExpertEntry> entries, ExpertWeights applied,
                               const Tensor& x, const Grid& grid, const Totals& totals) {
  for (const ExpertGroup& group : groups) {
    for (int64_t e = group.begin; e < group.end; ++e) {
      const ExpertEntry& entry = entries[static_cast<size_t>(e)];
      const bool on_input = applied == ExpertWeights::kOnInput;
      const float* const row = HostPointer(x) + entry.row * x.width;
      std::vector<float> input(row, row + x.width);
      for (float& v : input) v *= on_input ? entry.weight : 1;
      const std::vector<float> y =
          static_cast<const ReferenceFfn&>(*group.ffn).Forward(input.data());
      for (size_t i = 0; i < y.size(); ++i) {
        HostPointer(totals)[entry.row * totals.width + static_cast<int64_t>(i)] +=
            Steps((on_input ? 1 : entry.weight) * y[i], HostPointer(grid)[entry.row]);
      }
    }
  }
}

void ReferenceBackend::Clear(const Totals& totals) {
  std::fill_n(HostPointer(totals), totals.elements(), 0.0);
}

void ReferenceBackend::AddTerms(const Tensor& terms, const Grid& grid, const Totals& totals) {
  for (int64_t i = 0; i < totals.elements(); ++i) {
    HostPointer(totals)[i] += Steps(HostPointer(terms)[i], HostPointer(grid)[i / totals.width]);
  }
}

void ReferenceBackend::AddEncoded(std::span<const int32_t> rows, PartialType type,
                                  std::span<const uint8_t> bytes, const Totals& totals) {
  const size_t size = PartialBytes(type);
  const auto width = static_cast<size_t>(totals.width);
  for (size_t i = 0; i < rows.size() * width; ++i) {
    double* const total =
        HostPointer(totals) + rows[i / width] * totals.width + static_cast<int64_t>(i % width);
    if (type == PartialType::kF64) {
      double value;
      std::memcpy(&value, bytes.data() + i * size, size);
      *total += value;
    } else {
      // The integer's bytes as the upper ones of four, so that its sign comes along.
      int32_t value = 0;
      std::memcpy(reinterpret_cast<uint8_t*>(&value) + 4 - size, bytes.data() + i * size, size);
      *total += value >> (8 * (4 - size));
    }
  }
}

void ReferenceBackend::AddTotals(const Totals& totals, const Grid& grid, float multiplier,
                                 const Tensor& x) {
  for (int64_t i = 0; i < totals.elements(); ++i) {
    const double exact = std::ldexp(HostPointer(totals)[i], HostPointer(grid)[i / totals.width]);
    HostPointer(x)[i] += multiplier * static_cast<float>(exact);
  }
}

void ReferenceBackend::TakeTotals(const Totals& totals, const Grid& grid, const Tensor& output) {
  for (int64_t i = 0; i < totals.elements(); ++i) {
    HostPointer(output)[i] =
        static_cast<float>(std::ldexp(HostPointer(totals)[i], HostPointer(grid)[i / totals.width]));
  }
}

EncodedTotals ReferenceBackend::Encode(const Totals& totals) {
  PartialType type = PartialType::kI24;
  for (int64_t i = 0; i < totals.elements(); ++i) {
    const double total = HostPointer(totals)[i];
    if (!(std::abs(total) < 0x1p23)) type = std::max(type, PartialType::kI32);
    if (!(std::abs(total) < 0x1p31)) type = PartialType::kF64;
  }
  const size_t size = PartialBytes(type);
  EncodedTotals encoded{type, std::vector<uint8_t>(static_cast<size_t>(totals.elements()) * size)};
  for (int64_t i = 0; i < totals.elements(); ++i) {
    const double total = HostPointer(totals)[i];
    const auto integer = type == PartialType::kF64 ? 0 : static_cast<int32_t>(total);
    std::memcpy(encoded.partial.data() + static_cast<size_t>(i) * size,
                type == PartialType::kF64 ? static_cast<const void*>(&total) : &integer, size);
  }
  return encoded;
}

}  // namespace conclave
