#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace conclave {

// A file mapped for reading.
class MappedFile {
 public:
  // Throws kIo when it cannot be opened or mapped, kCorruptCheckpoint when it does not have `bytes`
  // bytes.
  MappedFile(const std::string& path, uint64_t bytes);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const uint8_t* data() const { return data_; }
  uint64_t size() const { return size_; }

  // Brings a range into memory. Throws where a plain read would end the process: kCorruptCheckpoint
  // when the file has shrunk, kIo when the disk fails.
  void Populate(uint64_t offset, uint64_t length) const;
  // Gives back the memory of a range that is not needed again soon.
  void Release(uint64_t offset, uint64_t length) const;

 private:
  std::string path_;
  int descriptor_ = -1;
  const uint8_t* data_ = nullptr;
  uint64_t size_ = 0;
};

}  // namespace conclave
