// Creates that come at the same time share a transaction, and nothing else.
#include <atomic>
#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <string>

#include "absl/synchronization/mutex.h"
#include "common/postgres/connection.h"
#include "common/runtime/thread.h"
#include "google/protobuf/util/json_util.h"
#include "tests/server/test_app.h"

namespace saldo::server {
namespace {

constexpr int kCallers = 16;

// Makes each insert take long enough for others to come meanwhile, and refuses the title "bad".
void SlowInserts(const TestApp& app) {
  app.database.Query(
      "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
      "PERFORM pg_sleep(0.01); "
      "IF NEW.title = 'bad' THEN RAISE EXCEPTION 'no such title'; END IF; RETURN NEW; END $$; "
      "CREATE TRIGGER slow BEFORE INSERT ON packages FOR EACH ROW EXECUTE FUNCTION slow()");
}

absl::StatusOr<uint64_t> Create(TestApp& app, const std::string& title,
                                absl::Duration timeout = kPatience) {
  api::CreatePackageV1Request request;
  request.set_title(title);
  request.set_material("wood");
  request.set_maximum_volume(1);
  api::CreatePackageV1Response response;
  const absl::Status status = app.Call(&Api::Stub::CreatePackageV1, request, &response, timeout);
  if (!status.ok()) return status;
  return response.id();
}

// `call` is made by every caller at once, with its number.
template <typename Call>
void AtOnce(Call call) {
  std::vector<runtime::Thread> callers;
  for (int i = 0; i < kCallers; ++i) callers.emplace_back("caller", [&call, i] { call(i); });
}

}  // namespace

TEST_CASE("each of many creates at once gets its own id and its own event") {
  TestApp app;
  SlowInserts(app);
  constexpr int kEach = 10;
  absl::Mutex mutex;
  std::map<uint64_t, std::string> titles;
  AtOnce([&](int caller) {
    for (int i = 0; i < kEach; ++i) {
      const std::string title = std::to_string(caller) + "-" + std::to_string(i);
      const absl::StatusOr<uint64_t> id = Create(app, title);
      if (!id.ok()) throw std::runtime_error(id.status().ToString());
      absl::MutexLock lock(&mutex);
      titles[*id] = title;
    }
  });
  REQUIRE(titles.size() == kCallers * kEach);
  std::set<uint64_t> event_ids;
  const auto events = app.Events();
  REQUIRE(events.size() == titles.size());
  for (const auto& event : events) {
    event_ids.insert(event.id());
    api::Package package;
    REQUIRE(google::protobuf::util::JsonStringToMessage(event.payload(), &package).ok());
    CHECK(package.id() == event.package_id());
    CHECK(titles[event.package_id()] == package.title());
  }
  CHECK(event_ids.size() == titles.size());
  for (const auto& [id, title] : titles) {
    CHECK(app.database.Query("SELECT title FROM packages WHERE id = " + std::to_string(id)) ==
          title);
  }
  // They did share transactions.
  CHECK(std::stoi(app.database.Query("SELECT count(DISTINCT batch_id) FROM outbox")) <
        kCallers * kEach / 2);
}

TEST_CASE("a package that the database refuses fails alone") {
  TestApp app;
  SlowInserts(app);
  std::atomic<int> made{0}, refused{0}, other{0};
  AtOnce([&](int caller) {
    for (int i = 0; i < 5; ++i) {
      const bool bad = (caller + i) % 4 == 0;
      const absl::Status status = Create(app, bad ? "bad" : "good").status();
      if (status.ok() && !bad) {
        ++made;
      } else if (absl::IsFailedPrecondition(status) && bad) {
        ++refused;
      } else {
        ++other;
      }
    }
  });
  CHECK(refused == kCallers * 5 / 4);
  CHECK(made == kCallers * 5 - refused);
  CHECK(other == 0);
  CHECK(app.database.Query("SELECT count(*) FROM packages") == std::to_string(made));
  CHECK(app.Events().size() == static_cast<size_t>(made));
}

TEST_CASE("creates that run out of time before they are begun leave nothing") {
  TestApp app;
  const CallContext context = CallContext::WithTimeout(kPatience);
  auto blocker = postgres::Connection::Open({.dsn = app.database.dsn()}, context);
  REQUIRE(blocker.ok());
  REQUIRE((*blocker)->ExecuteScript(context, "BEGIN; LOCK TABLE packages").ok());
  std::atomic<int> late{0};
  AtOnce([&](int) {
    if (absl::IsDeadlineExceeded(Create(app, "late", absl::Milliseconds(400)).status())) ++late;
  });
  CHECK(late == kCallers);
  REQUIRE((*blocker)->ExecuteScript(context, "ROLLBACK").ok());
  CHECK(Create(app, "next").ok());
  CHECK(app.database.Query("SELECT string_agg(title, ',') FROM packages") == "next");
}

}  // namespace saldo::server
