#include "conclave/weights/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "conclave/base/message.h"

namespace conclave {
namespace {

#ifndef MADV_POPULATE_READ
constexpr int MADV_POPULATE_READ = 22;
#endif

uint64_t SizeOf(int descriptor, const std::string& path) {
  struct stat status;
  if (fstat(descriptor, &status) != 0) Fail(ErrorCode::kIo, path, ": ", std::strerror(errno));
  return static_cast<uint64_t>(status.st_size);
}

struct Pages {
  uint64_t begin;
  uint64_t length;
};

// The whole pages that hold a range.
Pages PagesAround(uint64_t offset, uint64_t length) {
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t begin = offset / page * page;
  return {begin, offset + length - begin};
}

}  // namespace

MappedFile::MappedFile(const std::string& path, uint64_t bytes) : path_(path), size_(bytes) {
  descriptor_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) Fail(ErrorCode::kIo, path, ": ", std::strerror(errno));
  try {
    const uint64_t found = SizeOf(descriptor_, path);
    if (found != bytes) {
      Fail(ErrorCode::kCorruptCheckpoint, path, ": expected ", bytes, " bytes, found ", found);
    }
    if (bytes == 0) return;
    void* mapped = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, descriptor_, 0);
    if (mapped == MAP_FAILED) Fail(ErrorCode::kIo, path, ": ", std::strerror(errno));
    data_ = static_cast<const uint8_t*>(mapped);
  } catch (...) {
    close(descriptor_);
    throw;
  }
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<uint8_t*>(data_), size_);
  close(descriptor_);
}

void MappedFile::Populate(uint64_t offset, uint64_t length) const {
  if (length == 0) return;
  const uint64_t found = SizeOf(descriptor_, path_);
  if (found < size_) {
    Fail(ErrorCode::kCorruptCheckpoint, path_, ": expected ", size_, " bytes, found ", found,
         " since it was opened");
  }
  const Pages pages = PagesAround(offset, length);
  // A kernel that does not know the advice (EINVAL) reads the pages on first use.
  if (madvise(const_cast<uint8_t*>(data_) + pages.begin, pages.length, MADV_POPULATE_READ) != 0 &&
      errno != EINVAL) {
    Fail(ErrorCode::kIo, path_, ": reading ", length, " bytes at ", offset, ": ",
         std::strerror(errno));
  }
}

void MappedFile::Release(uint64_t offset, uint64_t length) const {
  if (length == 0) return;
  const Pages pages = PagesAround(offset, length);
  madvise(const_cast<uint8_t*>(data_) + pages.begin, pages.length, MADV_DONTNEED);
}

}  // namespace conclave
