#include "string_masks.h"

namespace conclave {
namespace {

constexpr size_t kMostClosing = 64;

}  // namespace

const std::vector<uint32_t>& StringMasks::Allowed(const StringState& string, int32_t stack,
                                                  const Stacks& stacks) {
  const Cursor closed{configurations_.Of(string.closed), stack};
  mask_ = Closing(string.spelling, suffixes_.Allowed(closed, stacks));
  if (string.least > 0 || string.most != StringState::kUnbounded)
    tokens_.KeepClosing(string.spelling, string.least, string.most, mask_);
  tokens_.AddInside(string.spelling, string.most, mask_);
  return mask_;
}

size_t StringMasks::bytes() const {
  return suffixes_.bytes() + closing_.size() * mask_.size() * sizeof(uint32_t);
}

const std::vector<uint32_t>& StringMasks::Closing(Spelling spelling,
                                                  const std::vector<uint32_t>& suffixes) {
  if (closing_.size() >= kMostClosing) closing_.clear();
  const auto [found, added] = closing_.try_emplace({spelling, suffixes});
  std::vector<uint32_t>& mask = found->second;
  if (!added) return mask;
  mask.assign(tokens_.words(), 0);
  for (const auto& [token, suffix] : tokens_.closing(spelling)) {
    if (suffix == StringTokens::Closing::kNothing || TestBit(suffixes, suffix)) SetBit(mask, token);
  }
  return mask;
}

}  // namespace conclave
