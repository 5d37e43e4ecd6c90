#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace saldo::structure {

// C++ text with the insides of comments, strings and characters blanked out: same length, same
// lines.
std::string CodeOnly(std::string_view content);

struct Word {
  std::string_view text;
  size_t at;  // its offset in the code
};

// The identifiers of a code, keywords among them. They point into `code`.
std::vector<Word> Words(std::string_view code);

// The line, counted from 1, that an offset stands on.
int LineOf(std::string_view content, size_t at);

}  // namespace saldo::structure
