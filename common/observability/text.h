// Text that leaves the process: valid UTF-8 and JSON, whatever bytes came in.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace saldo::text {

// Appends `in`, with every byte that is no part of well-formed UTF-8 replaced by U+FFFD.
void AppendUtf8(std::string_view in, std::string* out);

// The number of characters (code points), or nothing when `in` is not well-formed UTF-8.
std::optional<size_t> CountUtf8(std::string_view in);

// The longest prefix of at most `limit` bytes that does not end inside a UTF-8 character.
std::string_view CutUtf8(std::string_view in, size_t limit);

// Appends `in` as a quoted JSON string; control characters are escaped, invalid UTF-8 is replaced.
void AppendJsonString(std::string_view in, std::string* out);

// Appends the JSON escapes of AppendJsonString without the quotes around them.
void AppendJsonEscaped(std::string_view in, std::string* out);

}  // namespace saldo::text
