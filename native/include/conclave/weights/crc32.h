#pragma once

#include <cstddef>
#include <cstdint>

namespace conclave {

// CRC-32 (ISO-HDLC, as zlib computes it) of `size` bytes, continuing from `crc`, which is 0 at the
// start.
uint32_t Crc32(uint32_t crc, const void* data, size_t size);

}  // namespace conclave
