#include "tests/structure/code_text.h"

#include <catch2/catch.hpp>

namespace saldo::structure {
namespace {

TEST_CASE("comments and literals are blanked, lines stay") {
  struct Row {
    std::string_view content, code;
  };
  const Row rows[] = {
      {"a // b\nc", "a     \nc"},
      {"a /* b\nc */ d", "a     \n     d"},
      {"f(\"x\\\"y\") z", "f(      ) z"},
      {"f('\"') g(\"\")", "f(   ) g(  )"},
      {"R\"(a\")b)\" c", "R         c"},
      {"R\"x(a)\" b)x\" c", "R            c"},
      {"1'000 + f('a')", "1'000 + f(   )"},
      {"0xff'ff'ff; g('b')", "0xff'ff'ff; g(   )"},
      {"#error don't\nx", "#error don t\nx"},
      {"\"// no comment\"; y", "               ; y"},
      {"a / b", "a / b"},
      {"\"open", " open"},
      {"/* open", "       "},
  };
  for (const Row& row : rows) {
    CAPTURE(row.content);
    CHECK(CodeOnly(row.content) == row.code);
  }
}

TEST_CASE("words are whole identifiers with their offsets") {
  const std::string_view code = "ab::c_1(2x, 9)";
  const std::vector<Word> words = Words(code);
  REQUIRE(words.size() == 2);
  CHECK(words[0].text == "ab");
  CHECK(words[1].text == "c_1");
  CHECK(words[1].at == 4);
}

TEST_CASE("offsets map to lines from 1") {
  CHECK(LineOf("a\nb\n", 0) == 1);
  CHECK(LineOf("a\nb\n", 2) == 2);
}

}  // namespace
}  // namespace saldo::structure
