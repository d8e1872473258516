#pragma once

#include <cstddef>
#include <cstdint>

namespace conclave {

// CRC-32C (Castagnoli) of `size` bytes, continuing from `crc`, which is 0 at the start.
uint32_t Crc32c(uint32_t crc, const void* data, size_t size);

}  // namespace conclave
