#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace conclave {

// Where a step's time goes.
enum class ProfilePart {
  kEmbedding,
  kNorm,
  kAttention,
  kGate,
  kExperts,
  kDense,
  kCombine,
  kHead,
  kSampling
};
constexpr int kProfileParts = 9;
const char* ProfilePartName(ProfilePart part);

// Seconds by part. Added to by one thread, taken by another.
class Profile {
 public:
  // Adds the time from its construction to its destruction.
  class Span {
   public:
    Span(Profile& profile, ProfilePart part)
        : profile_(profile), part_(part), begin_(std::chrono::steady_clock::now()) {}
    ~Span() {
      const auto elapsed = std::chrono::steady_clock::now() - begin_;
      profile_.nanoseconds_[static_cast<int>(part_)] +=
          std::chrono::duration_cast<std::chrono::nanoseconds>(elapsed).count();
    }
    Span(const Span&) = delete;
    Span& operator=(const Span&) = delete;

   private:
    Profile& profile_;
    ProfilePart part_;
    std::chrono::steady_clock::time_point begin_;
  };

  // Seconds since the last call, by part.
  std::array<double, kProfileParts> Take();

 private:
  std::array<std::atomic<int64_t>, kProfileParts> nanoseconds_{};
};

}  // namespace conclave
