#include "conclave/engine/profile.h"

namespace conclave {

const char* ProfilePartName(ProfilePart part) {
  switch (part) {
    case ProfilePart::kEmbedding:
      return "embedding";
    case ProfilePart::kNorm:
      return "norm";
    case ProfilePart::kAttention:
      return "attention";
    case ProfilePart::kGate:
      return "gate";
    case ProfilePart::kExperts:
      return "experts";
    case ProfilePart::kDense:
      return "dense";
    case ProfilePart::kCombine:
      return "combine";
    case ProfilePart::kHead:
      return "head";
    case ProfilePart::kSampling:
      return "sampling";
  }
  return "other";
}

std::array<double, kProfileParts> Profile::Take() {
  std::array<double, kProfileParts> seconds{};
  for (int i = 0; i < kProfileParts; ++i)
    seconds[i] = static_cast<double>(nanoseconds_[i].exchange(0)) * 1e-9;
  return seconds;
}

}  // namespace conclave
