#include "conclave/weights/weight_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "conclave/base/message.h"

namespace conclave {
namespace {

// Some systems read at most 2 GiB at a time.
constexpr uint64_t kMostAtOnce = uint64_t{1} << 30;

}  // namespace

WeightFile::WeightFile(const std::string& path, uint64_t bytes) : path_(path), size_(bytes) {
  descriptor_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) Fail(ErrorCode::kIo, path, ": ", std::strerror(errno));
  struct stat status;
  if (fstat(descriptor_, &status) != 0) {
    const int error = errno;
    close(descriptor_);
    Fail(ErrorCode::kIo, path, ": ", std::strerror(error));
  }
  const auto found = static_cast<uint64_t>(status.st_size);
  if (found != bytes) {
    close(descriptor_);
    Fail(ErrorCode::kCorruptCheckpoint, path, ": expected ", bytes, " bytes, found ", found);
  }
}

WeightFile::~WeightFile() { close(descriptor_); }

void WeightFile::Read(uint64_t offset, uint64_t length, void* output) const {
  auto* const bytes = static_cast<uint8_t*>(output);
  for (uint64_t done = 0; done < length;) {
    const ssize_t count = pread(descriptor_, bytes + done, std::min(length - done, kMostAtOnce),
                                static_cast<off_t>(offset + done));
    if (count > 0) {
      done += static_cast<uint64_t>(count);
    } else if (count == 0) {
      struct stat status;
      const auto found = fstat(descriptor_, &status) == 0 ? status.st_size : 0;
      Fail(ErrorCode::kCorruptCheckpoint, path_, ": reading ", length, " bytes at ", offset,
           ": the file has ", found, " bytes now; it had ", size_, " when it was opened");
    } else if (errno != EINTR) {
      Fail(ErrorCode::kIo, path_, ": reading ", length, " bytes at ", offset, ": ",
           std::strerror(errno));
    }
  }
}

void WeightFile::Prefetch(uint64_t offset, uint64_t length) const {
#ifdef POSIX_FADV_WILLNEED
  posix_fadvise(descriptor_, static_cast<off_t>(offset), static_cast<off_t>(length),
                POSIX_FADV_WILLNEED);
#else
  (void)offset, (void)length;
#endif
}

}  // namespace conclave
