#include "common/observability/text.h"

#include <cstdint>

namespace saldo::text {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

bool IsContinuation(char c) { return (static_cast<uint8_t>(c) & 0xC0) == 0x80; }

// The length of the well-formed UTF-8 character at the start of `in`, or 0 (table 3-7 of Unicode).
size_t CharacterLength(std::string_view in) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(in[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || in.size() < length) return 0;
  uint8_t low = 0x80;
  uint8_t high = 0xBF;
  if (first == 0xE0) low = 0xA0;
  if (first == 0xED) high = 0x9F;
  if (first == 0xF0) low = 0x90;
  if (first == 0xF4) high = 0x8F;
  if (byte(1) < low || byte(1) > high) return 0;
  for (size_t i = 2; i < length; ++i) {
    if (!IsContinuation(in[i])) return 0;
  }
  return length;
}

bool IsPlainAscii(char c) {
  const auto byte = static_cast<uint8_t>(c);
  return byte >= 0x20 && byte < 0x7F && c != '"' && c != '\\';
}

void AppendControlEscape(char c, std::string* out) {
  constexpr char kHex[] = "0123456789abcdef";
  switch (c) {
    case '\n':
      out->append("\\n");
      return;
    case '\r':
      out->append("\\r");
      return;
    case '\t':
      out->append("\\t");
      return;
    default: {
      const auto byte = static_cast<uint8_t>(c);
      out->append("\\u00");
      out->push_back(kHex[byte >> 4]);
      out->push_back(kHex[byte & 15]);
    }
  }
}

}  // namespace

void AppendUtf8(std::string_view in, std::string* out) {
  while (!in.empty()) {
    const size_t length = CharacterLength(in);
    if (length == 0) {
      out->append(kReplacement);
      in.remove_prefix(1);
    } else {
      out->append(in.substr(0, length));
      in.remove_prefix(length);
    }
  }
}

std::optional<size_t> CountUtf8(std::string_view in) {
  size_t count = 0;
  for (; !in.empty(); ++count) {
    const size_t length = CharacterLength(in);
    if (length == 0) return std::nullopt;
    in.remove_prefix(length);
  }
  return count;
}

std::string_view CutUtf8(std::string_view in, size_t limit) {
  if (in.size() <= limit) return in;
  size_t end = limit;
  // A character has at most three continuation bytes; more of them are no UTF-8 to be kept whole.
  while (end > 0 && limit - end < 3 && IsContinuation(in[end])) --end;
  return in.substr(0, end);
}

void AppendJsonEscaped(std::string_view in, std::string* out) {
  while (!in.empty()) {
    size_t plain = 0;
    while (plain < in.size() && IsPlainAscii(in[plain])) ++plain;
    out->append(in.substr(0, plain));
    in.remove_prefix(plain);
    if (in.empty()) return;
    const size_t length = CharacterLength(in);
    const char c = in.front();
    if (length == 0) {
      out->append(kReplacement);
    } else if (c == '"' || c == '\\') {
      out->push_back('\\');
      out->push_back(c);
    } else if (length == 1) {
      AppendControlEscape(c, out);
    } else {
      out->append(in.substr(0, length));
    }
    in.remove_prefix(length == 0 ? 1 : length);
  }
}

void AppendJsonString(std::string_view in, std::string* out) {
  out->push_back('"');
  AppendJsonEscaped(in, out);
  out->push_back('"');
}

}  // namespace saldo::text
