#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace conclave {

// Memory that grows and is used again; contents are undefined after Reserve.
template <typename T>
class Buffer {
 public:
  T* Reserve(int64_t count) {
    if (count > capacity_) {
      storage_.reset();
      capacity_ = 0;
      storage_ = std::make_unique_for_overwrite<T[]>(static_cast<size_t>(count));
      capacity_ = count;
    }
    return storage_.get();
  }
  T* data() { return storage_.get(); }
  const T* data() const { return storage_.get(); }

 private:
  std::unique_ptr<T[]> storage_;
  int64_t capacity_ = 0;
};

}  // namespace conclave
