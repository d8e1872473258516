#include "json_character.h"

#include <string_view>

namespace conclave::json_character {
namespace {

enum State : int8_t {
  kTail1 = kBackslash + 1,  // so many bytes 80 to bf follow
  kTail2,
  kTail3,
  kE0,  // lead bytes after which not all of those may come (Unicode, table 3-7)
  kEd,
  kF0,
  kF4,
  kU,  // `\u` of any spelling; kHexN: so many digits follow
  kHex3,
  kHex2,
  kHex1,
  kD,  // `\ud`: a character below U+D800, or the first half of one beyond U+FFFF
  kHigh2,
  kHigh1,
  kLowBackslash,
  kLowU,
  kLowD,
  kLowC,
  kControl,  // `\u` of JSON.stringify: 0000 to 001f without those that have a letter
  kControl0,
  kControl00,
  kControl000,
  kControl001,
};

bool In(std::string_view bytes, uint8_t byte) {
  return bytes.find(static_cast<char>(byte)) != std::string_view::npos;
}

bool Within(uint8_t byte, uint8_t first, uint8_t last) { return byte >= first && byte <= last; }

int8_t When(bool fits, int8_t state) { return fits ? state : kDead; }

bool Hex(uint8_t byte) { return In("0123456789abcdefABCDEF", byte); }

int8_t First(uint8_t byte) {
  if (byte < 0x80)
    return byte == '\\' ? int8_t{kBackslash} : When(byte >= 0x20 && byte != '"', kDone);
  if (byte < 0xe0) return When(byte >= 0xc2, kTail1);
  if (byte < 0xf0) return byte == 0xe0 ? int8_t{kE0} : byte == 0xed ? int8_t{kEd} : int8_t{kTail2};
  return byte == 0xf0 ? int8_t{kF0} : byte == 0xf4 ? int8_t{kF4} : When(byte < 0xf4, kTail3);
}

int8_t Escape(Spelling spelling, int8_t state, uint8_t byte) {
  switch (state) {
    case kBackslash:
      if (byte == 'u') return spelling == Spelling::kAny ? kU : kControl;
      return When(In("\"\\bfnrt", byte) || (byte == '/' && spelling == Spelling::kAny), kDone);
    case kU:
      return In("dD", byte) ? int8_t{kD} : When(Hex(byte), kHex3);
    case kHex3:
      return When(Hex(byte), kHex2);
    case kHex2:
      return When(Hex(byte), kHex1);
    case kHex1:
      return When(Hex(byte), kDone);
    case kD:
      return In("89abAB", byte) ? int8_t{kHigh2} : When(Within(byte, '0', '7'), kHex2);
    case kHigh2:
      return When(Hex(byte), kHigh1);
    case kHigh1:
      return When(Hex(byte), kLowBackslash);
    case kLowBackslash:
      return When(byte == '\\', kLowU);
    case kLowU:
      return When(byte == 'u', kLowD);
    case kLowD:
      return When(In("dD", byte), kLowC);
    case kLowC:
      return When(In("cdefCDEF", byte), kHex2);
    case kControl:
      return When(byte == '0', kControl0);
    case kControl0:
      return When(byte == '0', kControl00);
    case kControl00:
      return byte == '0' ? int8_t{kControl000} : When(byte == '1', kControl001);
    case kControl000:
      return When(In("01234567bef", byte), kDone);
    case kControl001:
      return When(In("0123456789abcdef", byte), kDone);
    default:
      return kDead;
  }
}

}  // namespace

int8_t Next(Spelling spelling, int8_t state, uint8_t byte) {
  switch (state) {
    case kStart:
      return First(byte);
    case kTail1:
      return When(Within(byte, 0x80, 0xbf), kDone);
    case kTail2:
      return When(Within(byte, 0x80, 0xbf), kTail1);
    case kTail3:
      return When(Within(byte, 0x80, 0xbf), kTail2);
    case kE0:
      return When(Within(byte, 0xa0, 0xbf), kTail1);
    case kEd:
      return When(Within(byte, 0x80, 0x9f), kTail1);
    case kF0:
      return When(Within(byte, 0x90, 0xbf), kTail2);
    case kF4:
      return When(Within(byte, 0x80, 0x8f), kTail2);
    default:
      return Escape(spelling, state, byte);
  }
}

}  // namespace conclave::json_character
