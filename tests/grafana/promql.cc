#include "tests/grafana/promql.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace saldo::grafana {
namespace {

bool IsNameStart(char c) {
  return absl::ascii_isalpha(static_cast<unsigned char>(c)) || c == '_' || c == ':';
}
bool IsNamePart(char c) {
  return IsNameStart(c) || absl::ascii_isdigit(static_cast<unsigned char>(c));
}

template <size_t n>
bool IsOneOf(std::string_view word, const std::array<std::string_view, n>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// Words that are followed by a list of labels.
constexpr std::array<std::string_view, 6> kLists = {"by",       "without",    "on",
                                                    "ignoring", "group_left", "group_right"};
constexpr std::array<std::string_view, 3> kSetOperators = {"and", "or", "unless"};
constexpr std::array<std::string_view, 5> kOperators = {"and", "or", "unless", "bool", "offset"};

// `sum by (job) (x)`: the word before is an operator.
bool IsGrouped(std::string_view rest) {
  return rest.starts_with("by ") || rest.starts_with("by(") || rest.starts_with("without ") ||
         rest.starts_with("without(");
}

// The place after what begins at `at` and ends with `close`; quotes inside are passed over whole.
size_t After(std::string_view text, size_t at, char close) {
  for (++at; at < text.size() && text[at] != close; ++at) {
    if (text[at] == '\\') ++at;
    if (close != '"' && at < text.size() && text[at] == '"') at = After(text, at, '"') - 1;
  }
  return std::min(at + 1, text.size());
}

size_t NextBlack(std::string_view text, size_t at) {
  return std::min(text.find_first_not_of(" \n", at), text.size());
}

// What a walk over a query meets, but for blanks and operators.
struct Token {
  enum class Kind { kMetric, kLabels, kRange, kOther } kind;
  size_t begin, end;
};

std::vector<Token> Tokens(std::string_view query) {
  using Kind = Token::Kind;
  std::vector<Token> tokens;
  size_t at = 0;
  while (at < query.size()) {
    const size_t begin = at;
    const char c = query[at];
    Kind kind = Kind::kOther;
    if (c == '"') {
      at = After(query, at, '"');
    } else if (c == '{') {
      at = After(query, at, '}'), kind = Kind::kLabels;
    } else if (c == '[') {
      at = After(query, at, ']'), kind = Kind::kRange;
    } else if (absl::ascii_isdigit(static_cast<unsigned char>(c))) {
      while (at < query.size() && (IsNamePart(query[at]) || query[at] == '.')) ++at;
    } else if (IsNameStart(c)) {
      while (at < query.size() && IsNamePart(query[at])) ++at;
      const std::string_view word = query.substr(begin, at - begin);
      const size_t next = NextBlack(query, at);
      const bool opens = next < query.size() && query[next] == '(';
      if (IsOneOf(word, kLists) && opens) {
        at = After(query, next, ')');
      } else if (!opens && !IsOneOf(word, kOperators) && !IsGrouped(query.substr(next))) {
        kind = Kind::kMetric;
      }
    } else {
      ++at;
    }
    tokens.push_back({kind, begin, at});
  }
  return tokens;
}

std::string_view Trim(std::string_view text) {
  const size_t begin = NextBlack(text, 0);
  return text.substr(begin, text.find_last_not_of(" \n") + 1 - begin);
}

// What the set operators join, without the parentheses around.
std::vector<std::string_view> Operands(std::string_view query) {
  query = Trim(query);
  std::vector<std::string_view> operands;
  int depth = 0;
  size_t begin = 0, closed = std::string_view::npos;
  const auto end_at = [&](size_t end) {
    for (const std::string_view inner : Operands(query.substr(begin, end - begin)))
      operands.push_back(inner);
  };
  for (const Token& token : Tokens(query)) {
    const std::string_view text = query.substr(token.begin, token.end - token.begin);
    depth += text == "(" ? 1 : text == ")" ? -1 : 0;
    if (text == ")" && depth == 0) closed = std::min(closed, token.begin);
    if (depth > 0 || !IsOneOf(text, kSetOperators)) continue;
    end_at(token.begin);
    begin = token.end;
    // Which labels it goes by.
    const size_t next = NextBlack(query, begin);
    if (query.substr(next).starts_with("on (")) begin = After(query, next, ')');
  }
  if (begin > 0) {
    end_at(query.size());
  } else if (query.starts_with("(") && closed + 1 == query.size()) {
    return Operands(query.substr(1, query.size() - 2));
  } else {
    operands.push_back(query);
  }
  return operands;
}

// With the answer 0 where a comparison does not hold.
std::string Answering(std::string_view query) {
  std::string answering;
  for (const Token& token : Tokens(query)) {
    const std::string_view text = query.substr(token.begin, token.end - token.begin);
    answering += text;
    const std::string_view rest = query.substr(token.end);
    const bool longer = !rest.empty() && rest[0] == '=';
    const char before = token.begin == 0 ? ' ' : query[token.begin - 1];
    const bool ends_double =
        text == "=" && (before == '=' || before == '!' || before == '<' || before == '>');
    if (ends_double || ((text == "<" || text == ">") && !longer)) answering += " bool";
  }
  return answering;
}

}  // namespace

std::string Fill(std::string text, const Variables& variables) {
  std::vector<std::string> names;
  for (const auto& [name, value] : variables) names.push_back(name);
  std::sort(names.begin(), names.end(),
            [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
  for (const std::string& name : names) {
    const std::string& value = variables.at(name);
    text = absl::StrReplaceAll(
        text, {{absl::StrCat("${", name, "}"), value}, {absl::StrCat("$", name), value}});
  }
  return text;
}

std::string AsRegex(std::string_view value) {
  std::string escaped;
  for (const char c : value) {
    if (std::string_view("\\^$*+?.()|[]{}/").find(c) != std::string_view::npos) escaped += "\\\\";
    escaped += c;
  }
  return escaped;
}

std::vector<Selector> Selectors(std::string_view query) {
  std::vector<Selector> selectors;
  const std::vector<Token> tokens = Tokens(query);
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].kind != Token::Kind::kMetric) continue;
    Selector selector{std::string(query.substr(tokens[i].begin, tokens[i].end - tokens[i].begin)),
                      ""};
    if (i + 1 < tokens.size() && tokens[i + 1].kind == Token::Kind::kLabels)
      selector.labels =
          query.substr(tokens[i + 1].begin + 1, tokens[i + 1].end - tokens[i + 1].begin - 2);
    selectors.push_back(std::move(selector));
  }
  return selectors;
}

std::vector<std::string> Ranges(std::string_view query) {
  std::vector<std::string> ranges;
  for (const Token& token : Tokens(query)) {
    if (token.kind == Token::Kind::kRange)
      ranges.emplace_back(query.substr(token.begin + 1, token.end - token.begin - 2));
  }
  return ranges;
}

std::vector<std::string> Measured(std::string_view condition) {
  std::vector<std::string> queries;
  for (const std::string_view part : Operands(condition)) {
    if (!part.starts_with("absent(") && !part.starts_with("ALERTS{"))
      queries.push_back(Answering(part));
  }
  return queries;
}

}  // namespace saldo::grafana
