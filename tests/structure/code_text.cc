#include "tests/structure/code_text.h"

#include <algorithm>

namespace saldo::structure {
namespace {

bool IsWordStart(char c) { return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsWordPart(char c) { return IsWordStart(c) || (c >= '0' && c <= '9'); }

// Where the literal or comment that starts at `at` ends, one past its last character; `at` when
// none starts there.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  size_t EndOfBlank(size_t at) const {
    if (text_.compare(at, 2, "//") == 0) return std::min(text_.find('\n', at), text_.size());
    if (text_.compare(at, 2, "/*") == 0) return EndAfter("*/", at + 2);
    if (text_[at] == '"') return IsRaw(at) ? EndOfRaw(at) : EndOfQuoted(at);
    if (text_[at] == '\'' && !IsDigitSeparator(at)) return EndOfQuoted(at);
    return at;
  }

 private:
  size_t EndAfter(std::string_view mark, size_t from) const {
    const size_t found = text_.find(mark, from);
    return found == std::string_view::npos ? text_.size() : found + mark.size();
  }

  bool IsRaw(size_t quote) const {
    if (quote == 0 || text_[quote - 1] != 'R') return false;
    size_t start = quote - 1;
    while (start > 0 && IsWordPart(text_[start - 1])) --start;
    const std::string_view prefix = text_.substr(start, quote - start);
    return prefix == "R" || prefix == "LR" || prefix == "uR" || prefix == "UR" || prefix == "u8R";
  }

  size_t EndOfRaw(size_t quote) const {
    const size_t open = text_.find('(', quote);
    if (open == std::string_view::npos) return text_.size();
    const std::string delimiter(text_.substr(quote + 1, open - quote - 1));
    return EndAfter(")" + delimiter + "\"", open);
  }

  size_t EndOfQuoted(size_t quote) const {
    for (size_t i = quote + 1; i < text_.size() && text_[i] != '\n'; ++i) {
      if (text_[i] == '\\') {
        ++i;
      } else if (text_[i] == text_[quote]) {
        return i + 1;
      }
    }
    return quote + 1;  // not closed on its line, as an apostrophe after #error: no literal
  }

  // 1'000 and 0xff'ff, but not u8'a'.
  bool IsDigitSeparator(size_t at) const {
    if (at == 0 || at + 1 >= text_.size() || !IsWordPart(text_[at + 1])) return false;
    size_t start = at;
    while (start > 0 && (IsWordPart(text_[start - 1]) || text_[start - 1] == '\'')) --start;
    return start < at && text_[start] >= '0' && text_[start] <= '9';
  }

  std::string_view text_;
};

}  // namespace

std::string CodeOnly(std::string_view content) {
  std::string code(content);
  const Scanner scanner(content);
  for (size_t i = 0; i < content.size();) {
    const size_t end = scanner.EndOfBlank(i);
    for (size_t j = i; j < end; ++j) {
      if (code[j] != '\n') code[j] = ' ';
    }
    i = std::max(end, i + 1);
  }
  return code;
}

std::vector<Word> Words(std::string_view code) {
  std::vector<Word> words;
  for (size_t i = 0; i < code.size();) {
    size_t end = i;
    while (end < code.size() && IsWordPart(code[end])) ++end;
    if (end > i && IsWordStart(code[i])) words.push_back({code.substr(i, end - i), i});
    i = std::max(end, i + 1);
  }
  return words;
}

int LineOf(std::string_view content, size_t at) {
  return 1 + static_cast<int>(std::count(content.begin(), content.begin() + at, '\n'));
}

}  // namespace saldo::structure
