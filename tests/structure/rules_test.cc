#include "tests/structure/rules.h"

#include <absl/strings/str_cat.h>

#include <catch2/catch.hpp>

namespace saldo::structure {
namespace {

// The faults of one file, as "line what" joined by newlines; empty when there are none.
std::string Said(std::string_view path, std::string_view content) {
  std::string said;
  for (const Fault& fault : CheckFile(path, content))
    absl::StrAppend(&said, fault.line, " ", fault.what, "\n");
  return said;
}

struct Row {
  std::string_view path, content;
};

TEST_CASE("bad snippets are rejected") {
  const Row rows[] = {
      {"server/app.cc", "#include <libpq-fe.h>\n"},
      {"common/base/a.cc", "  #  include \"libpq/libpq-fs.h\"\n"},
      {"common/devstack/a.cc", "#include <librdkafka/rdkafka.h>\n"},
      {"common/postgres/a.cc", "#include <librdkafka/rdkafka_mock.h>\n"},
      {"common/base/a.cc", "#include \"server/app.h\"\n"},
      {"common/base/a.cc", "#include \"tests/support/a.h\"\n"},
      {"server/app.cc", "#include \"retranslator/app.h\"\n"},
      {"retranslator/app.cc", "#include \"server/outbox/outbox.h\"\n"},
      {"cli/main.cc", "#include \"server/app.h\"\n"},
      {"server/packages/service.cc", "#include \"server/wallets/store.h\"\n"},
      {"server/app.cc", "void F() { thread.detach(); }\n"},
      {"common/runtime/a.cc", "void F() { thread_->detach (); }\n"},
      {"tests/a.cc", "void F() { std::this_thread::sleep_for(x); }\n"},
      {"tests/a.cc", "void F() { absl::SleepFor(x); }\n"},
      {"server/app.cc", "void F() { usleep(5); }\n"},
      {"server/app.cc", "void F() { sleep(5); }\n"},
      {"server/app.cc", "void F() { ::nanosleep(&a, &b); }\n"},
      {"common/kafka/a.h", "#pragma once\nstd::thread t;\n"},
      {"common/kafka/a.cc", "std::jthread t;\n"},
      {"tests/a.cc", "auto f = std::async(g);\n"},
      {"server/app.cc", "void F() { std::cout << 1; }\n"},
      {"common/base/a.cc", "void F() { printf(\"%d\", 1); }\n"},
      {"server/app.cc", "void F() { absl::PrintF(\"x\"); }\n"},
      {"tests/a.cc", "auto t = gmtime(&x);\n"},
      {"server/app.cc", "void F() { setenv(a, b, 1); }\n"},
      {"common/base/a.h", "// #pragma once\nint x;\n"},
      {"common/base/a.cc", "\tint x;\n"},
      {"docs/a.md", "text \n"},
      {"docs/a.md", "text\r\n"},
      {"common/base/a.cc", "int x;"},
      {"migrations/1.sql",
       "-- TO"
       "DO: later\n"},
      {"common/base/a.cc",
       "int x;  // FIX"
       "ME\n"},
      {"tests/a.cc", "TEST_CASE(\"a\", \"[.]\") {}\n"},
      {"tests/a.cc", "TEST_CASE(\"a\", \"[x][.slow]\") {}\n"},
      {"tests/a.cc", "TEST_CASE(\n    \"a\",\n    \"[!mayfail]\") {}\n"},
      {"tests/a.cc", "TEMPLATE_TEST_CASE(\"a\", \"[!shouldfail]\", int) {}\n"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.path, row.content);
    CHECK(Said(row.path, row.content) != "");
  }
}

TEST_CASE("good snippets are accepted") {
  const Row rows[] = {
      {"common/postgres/a.h", "#pragma once\n#include <libpq-fe.h>\n"},
      {"common/kafka/a.cc", "#include <librdkafka/rdkafka.h>\n"},
      {"bench/main.cc", "#include <libpq-fe.h>\n"},
      {"tests/a.cc", "#include \"server/packages/store.h\"\n"},
      {"server/app.cc", "#include \"server/packages/store.h\"\n"},
      {"server/packages/service.cc",
       "#include \"server/packages/store.h\"\n#include \"server/outbox/outbox.h\"\n"},
      {"server/app.cc", "// #include <libpq-fe.h>\n"},
      {"server/app.cc", "const char* kText = R\"(\n#include <libpq-fe.h>\n)\";\n"},
      {"server/app.cc", "// never detach() or sleep(5)\n"},
      {"server/app.cc", "auto s = Sql(\"select pg_sleep(1), sleep(1)\");\n"},
      {"server/app.cc", "int sleep = 1; auto detached = IsDetached();\n"},
      {"common/runtime/a.cc", "void F() { std::this_thread::sleep_for(x); std::thread t; }\n"},
      {"server/app.cc", "auto n = std::thread::hardware_concurrency();\n"},
      {"server/app.cc", "void F() { std::snprintf(a, 5, \"x\"); }\n"},
      {"cli/main.cc", "void F() { std::cout << 1; printf(\"x\"); }\n"},
      {"tests/a.cc", "TEST_CASE(\"a\", \"[kafka]\") { CHECK(x[.5]); }\n"},
      {"tests/a.cc", "const char* bad = \"TEST_CASE(a, [.])\";\n"},
      {"proto/google/api/http.proto",
       "\t// TO"
       "DO \n"},
      {"server/app.cc", ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.path, row.content);
    CHECK(Said(row.path, row.content) == "");
  }
}

TEST_CASE("a fault names its line and its reason") {
  CHECK(Said("server/app.cc", "\n\nvoid F() { t.detach(); }\n") ==
        "3 detach: threads are owned and joined, never detached\n");
  CHECK(Said("common/base/a.cc", "int a;\n#include \"server/app.h\"\n") ==
        "2 server/app.h: common must not depend on server\n");
}

TEST_CASE("a long file is rejected at one line too many") {
  std::string content;
  for (int i = 0; i < 500; ++i) content += "x\n";
  CHECK(Said("migrations/1.sql", content) == "");
  content += "x\n";
  CHECK(Said("migrations/1.sql", content) != "");
  CHECK(Said("dev", content) != "");
  CHECK(Said("docs/long.md", content) == "");
}

TEST_CASE("a file that no CMakeLists.txt names is dead") {
  std::map<std::string, std::string> tree = {
      {"common/a/CMakeLists.txt", "saldo_library(x SOURCES one.cc\n  two.cc)  # three.cc\n"},
      {"common/CMakeLists.txt", "add(b/three.cc)\n"},
      {"common/a/one.cc", ""},
      {"common/a/two.cc", ""},
      {"tests/CMakeLists.txt", "add_library(x support/main.cc)\n"},
      {"tests/support/main.cc", ""},
  };
  CHECK(CheckDeadFiles(tree).empty());
  tree["common/a/three.cc"] = "";  // named in a comment, and in another folder
  tree["tests/support/wo.cc"] = "";
  tree["server/app.cc"] = "";
  const std::vector<Fault> faults = CheckDeadFiles(tree);
  REQUIRE(faults.size() == 3);
  CHECK(faults[0].path == "common/a/three.cc");
  CHECK(faults[1].path == "server/app.cc");
  CHECK(faults[2].path == "tests/support/wo.cc");
}

}  // namespace
}  // namespace saldo::structure
