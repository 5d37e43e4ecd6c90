#include "server/packages/rules.h"

#include <catch2/catch.hpp>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "common/rpc/errors.h"

namespace saldo::packages {
namespace {

using Faults = std::map<std::string, std::string>;  // field -> description

Faults FaultsOf(const absl::Status& status) {
  Faults faults;
  google::rpc::BadRequest detail;
  if (!status.ok()) CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  rpc::GetDetail(status, &detail);
  for (const auto& violation : detail.field_violations()) {
    faults[violation.field()] = violation.description();
  }
  return faults;
}

std::string Times(int count, const std::string& text) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

api::CreatePackageV1Request NewRequest(const std::string& title, const std::string& material,
                                       float volume) {
  api::CreatePackageV1Request request;
  request.set_title(title);
  request.set_material(material);
  request.set_maximum_volume(volume);
  return request;
}

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kTiny = std::numeric_limits<float>::denorm_min();
constexpr float kHuge = std::numeric_limits<float>::max();
constexpr uint64_t kInt64Max = std::numeric_limits<int64_t>::max();
constexpr const char* kIdRule = "must be from 1 to 9223372036854775807, is ";

struct TextCase {
  std::string text;
  std::string create;  // the fault, or empty
  std::string update;
};

std::vector<TextCase> TextCases() {
  const std::string create = "must have 1 to 32 characters, has ";
  const std::string update = "must have 0 to 32 characters, has ";
  const std::string utf8 = "must be valid UTF-8";
  const std::string nul = "must not contain the character U+0000";
  return {
      {"", create + "0", ""},
      {"x", "", ""},
      {" ", "", ""},
      {Times(32, "x"), "", ""},
      {Times(33, "x"), create + "33", update + "33"},
      {Times(32, "ж"), "", ""},
      {Times(33, "ж"), create + "33", update + "33"},
      {Times(32, "\xF0\x9F\x93\xA6"), "", ""},
      {Times(1000, "x"), create + "1000", update + "1000"},
      {std::string("a\0b", 3), nul, nul},
      {"\xFF", utf8, utf8},
      {"\xC0\x80", utf8, utf8},          // NUL, overlong
      {"\xED\xA0\x80", utf8, utf8},      // a surrogate
      {"\xF4\x90\x80\x80", utf8, utf8},  // beyond U+10FFFF
      {"\xF0\x9F\x93", utf8, utf8},      // cut
  };
}

}  // namespace

TEST_CASE("texts of a new package and of an update") {
  const bool is_title = GENERATE(true, false);
  const std::string field = is_title ? "title" : "material";
  for (const TextCase& c : TextCases()) {
    CAPTURE(field, c.text);
    const std::string title = is_title ? c.text : "title";
    const std::string material = is_title ? "material" : c.text;
    const auto created = Check(NewRequest(title, material, 1));
    CHECK(FaultsOf(created.status()) == (c.create.empty() ? Faults{} : Faults{{field, c.create}}));
    api::UpdatePackageV1Request request;
    request.set_package_id(1);
    request.set_title(title);
    request.set_material(material);
    const auto updated = Check(request);
    CHECK(FaultsOf(updated.status()) == (c.update.empty() ? Faults{} : Faults{{field, c.update}}));
    if (created.ok()) CHECK((is_title ? created->title : created->material) == c.text);
    if (updated.ok()) {
      CHECK((is_title ? updated->title : updated->material).value_or("") == c.text);
      CHECK((is_title ? updated->title : updated->material).has_value() == !c.text.empty());
    }
  }
}

TEST_CASE("volumes of a new package and of an update") {
  struct Case {
    float volume;
    const char* create;
    const char* update;
  };
  const std::vector<Case> cases = {
      {1, "", ""},
      {kTiny, "", ""},
      {kHuge, "", ""},
      {0, "must be more than 0 and finite, is 0", ""},
      {-0.0F, "must be more than 0 and finite, is -0", ""},
      {-1.5F, "must be more than 0 and finite, is -1.5", "must be at least 0 and finite, is -1.5"},
      {kInfinity, "must be more than 0 and finite, is inf",
       "must be at least 0 and finite, is inf"},
      {-kInfinity, "must be more than 0 and finite, is -inf",
       "must be at least 0 and finite, is -inf"},
      {kNan, "must be more than 0 and finite, is nan", "must be at least 0 and finite, is nan"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.volume);
    const auto expected = [](const std::string& fault) {
      return fault.empty() ? Faults{} : Faults{{"maximum_volume", fault}};
    };
    CHECK(FaultsOf(Check(NewRequest("t", "m", c.volume)).status()) == expected(c.create));
    api::UpdatePackageV1Request request;
    request.set_package_id(1);
    request.set_maximum_volume(c.volume);
    const auto update = Check(request);
    CHECK(FaultsOf(update.status()) == expected(c.update));
    if (update.ok()) CHECK(update->maximum_volume.has_value() == (c.volume != 0));
  }
}

TEST_CASE("ids") {
  struct Case {
    uint64_t id;
    bool good;
  };
  for (const Case& c : std::vector<Case>{{0, false},
                                         {1, true},
                                         {kInt64Max, true},
                                         {kInt64Max + 1, false},
                                         {std::numeric_limits<uint64_t>::max(), false}}) {
    CAPTURE(c.id);
    const Faults expected =
        c.good ? Faults{} : Faults{{"package_id", kIdRule + std::to_string(c.id)}};
    api::DescribePackageV1Request describe;
    describe.set_package_id(c.id);
    CHECK(FaultsOf(Check(describe).status()) == expected);
    api::RemovePackageV1Request remove;
    remove.set_package_id(c.id);
    CHECK(FaultsOf(Check(remove).status()) == expected);
    api::UpdatePackageV1Request update;
    update.set_package_id(c.id);
    CHECK(FaultsOf(Check(update).status()) == expected);
    if (c.good) CHECK(static_cast<uint64_t>(Check(describe).value()) == c.id);
  }
}

TEST_CASE("every field at fault is named at once") {
  CHECK(FaultsOf(Check(NewRequest("", Times(33, "x"), kNan)).status()).size() == 3);
  api::UpdatePackageV1Request update;
  update.set_title("\xFF");
  update.set_material(Times(33, "x"));
  update.set_maximum_volume(-1);
  CHECK(FaultsOf(Check(update).status()).size() == 4);
}

TEST_CASE("pages") {
  struct Case {
    uint64_t offset, limit;
    int64_t expected_limit;
  };
  const rpc::PageLimits limits{.default_limit = 100, .max_limit = 1000};
  for (const Case& c : std::vector<Case>{{0, 0, 100},
                                         {5, 1, 1},
                                         {0, 1000, 1000},
                                         {0, 1001, 1000},
                                         {kInt64Max, std::numeric_limits<uint64_t>::max(), 1000}}) {
    CAPTURE(c.offset, c.limit);
    api::ListPackagesV1Request request;
    request.set_offset(c.offset);
    request.set_limit(c.limit);
    const auto page = Check(request, limits);
    REQUIRE(page.ok());
    CHECK(page->limit == c.expected_limit);
    CHECK(static_cast<uint64_t>(page->offset) == c.offset);
  }
  api::ListPackagesV1Request request;
  request.set_offset(kInt64Max + 1);
  CHECK(FaultsOf(Check(request, limits).status()) ==
        Faults{{"offset", "must be at most 9223372036854775807, is 9223372036854775808"}});
}

TEST_CASE("an update changes what it names, and tells whether that is new") {
  const Package before{.id = 1,
                       .title = "box",
                       .material = "wood",
                       .maximum_volume = 2,
                       .reusable = true,
                       .created = absl::UnixEpoch(),
                       .updated = std::nullopt};
  struct Case {
    PackageUpdate update;
    Package after;
    bool changed;
  };
  const auto with = [&](auto change) {
    Package package = before;
    change(package);
    return package;
  };
  const std::vector<Case> cases = {
      {{1, {}, {}, {}, {}}, before, false},
      {{1, "box", "wood", 2.0F, true}, before, false},
      {{1, "bag", {}, {}, {}}, with([](Package& p) { p.title = "bag"; }), true},
      {{1, {}, "paper", {}, {}}, with([](Package& p) { p.material = "paper"; }), true},
      {{1, {}, {}, 3.0F, {}}, with([](Package& p) { p.maximum_volume = 3; }), true},
      {{1, {}, {}, {}, false}, with([](Package& p) { p.reusable = false; }), true},
      {{1, "bag", "paper", 3.0F, false},
       with([](Package& p) { p = {1, "bag", "paper", 3, false, p.created, p.updated}; }),
       true},
      {{1, "bag", "wood", {}, {}}, with([](Package& p) { p.title = "bag"; }), true},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    CAPTURE(i);
    Package package = before;
    CHECK(Apply(cases[i].update, package) == cases[i].changed);
    CHECK(ToMessage(package).SerializeAsString() == ToMessage(cases[i].after).SerializeAsString());
  }
}

TEST_CASE("reusable is changed to false only when the request has it") {
  api::UpdatePackageV1Request request;
  request.set_package_id(1);
  CHECK_FALSE(Check(request)->reusable.has_value());
  request.mutable_reusable();
  CHECK(Check(request)->reusable == false);
  request.mutable_reusable()->set_reusable(true);
  CHECK(Check(request)->reusable == true);
}

}  // namespace saldo::packages
