#pragma once

#include <cstdint>
#include <string>

namespace conclave {

// A file of a checkpoint. It is read, not mapped: a mapping of a file that is cut short, or of a
// disk that fails, ends the process on access, where a read has an error. Thread safe.
class WeightFile {
 public:
  // Throws kIo when it cannot be opened, kCorruptCheckpoint when it does not have `bytes` bytes.
  WeightFile(const std::string& path, uint64_t bytes);
  ~WeightFile();
  WeightFile(const WeightFile&) = delete;
  WeightFile& operator=(const WeightFile&) = delete;

  // Throws kCorruptCheckpoint when the file ends before the range does, kIo when the disk fails.
  void Read(uint64_t offset, uint64_t length, void* output) const;
  // Has the system fetch a range from the disk while other work goes on.
  void Prefetch(uint64_t offset, uint64_t length) const;

 private:
  std::string path_;
  int descriptor_ = -1;
  uint64_t size_;
};

}  // namespace conclave
