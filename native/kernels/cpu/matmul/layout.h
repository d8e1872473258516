#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "kernels/cpu/machine/weight_memory.h"
#include "kernels/cpu/matmul/matmul.h"
#include "kernels/cpu/matmul/tile.h"

namespace conclave {

struct PackedMatrix::Layout {
  const TileKernels* tiles;
  const TileKernel* kernel;
  int64_t rows;
  int64_t cols;
  int64_t padded_cols;  // multiple of kColumnGroup
  int64_t panels;       // of tiles->panel_rows rows, the last one padded with zeros
  size_t panel_bytes;   // multiple of 64
  std::shared_ptr<const uint8_t> data;

  const uint8_t* panel(int64_t index) const {
    return data.get() + static_cast<size_t>(index) * panel_bytes;
  }
};

inline int64_t RoundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

PackedMatrix PackMatrix(const TileKernels& tiles, MatrixSource& source, WeightsFormat format,
                        WeightMemory& memory);

}  // namespace conclave
