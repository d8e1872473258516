#include "binding/convert/read_token_mask.h"

#include <utility>
#include <vector>

#include "binding/filters/token_filter_handle.h"

namespace conclave::binding {
namespace {

class FixedMask : public TokenMask {
 public:
  explicit FixedMask(std::vector<uint32_t> words) : words_(std::move(words)) {}
  std::span<const uint32_t> Allowed(std::span<const int32_t>) override { return words_; }

 private:
  std::vector<uint32_t> words_;
};

}  // namespace

std::shared_ptr<TokenMask> ReadTokenMask(Napi::Value value, const std::string& path) {
  if (value.IsTypedArray()) return std::make_shared<FixedMask>(ReadUint32Array(value, path));
  return TokenFilterHandle::From(value, path).open().filter;
}

}  // namespace conclave::binding
