#include "server/packages/store.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "common/observability/trace.h"
#include "tests/support/migrated_database.h"

namespace saldo::packages {
namespace {

CallContext Soon() { return CallContext::WithTimeout(absl::Seconds(20)); }

struct Fixture {
  testing::MigratedDatabase database;
  metrics::Registry registry;
  postgres::Pool pool{{.connection = {.dsn = database.dsn()}}, registry};
  std::atomic<int> commits{0};
  outbox::Outbox outbox{[this] { ++commits; }};
  PackageStore store{pool, outbox, "topic"};

  std::string Count(const std::string& table) {
    return database.Query("SELECT count(*) FROM " + table);
  }
};

const NewPackage kBox{.title = "box", .material = "wood", .maximum_volume = 1, .reusable = true};

TEST_CASE("changes are reported to the outbox when they are committed, and only then") {
  Fixture f;
  const auto id = f.store.Create(Soon(), kBox);
  REQUIRE(id.ok());
  CHECK(f.commits == 1);
  CHECK(f.store.Update(Soon(), {*id, "box", {}, {}, {}}).value() == false);
  CHECK(f.commits == 1);
  CHECK(f.store.Update(Soon(), {*id, "bag", {}, {}, {}}).value() == true);
  CHECK(f.commits == 2);
  CHECK(f.store.Remove(Soon(), *id).ok());
  CHECK(f.commits == 3);
  CHECK(absl::IsNotFound(f.store.Remove(Soon(), *id)));
  CHECK(absl::IsNotFound(f.store.Update(Soon(), {*id, "bag", {}, {}, {}}).status()));
  CHECK(absl::IsNotFound(f.store.Describe(Soon(), *id).status()));
  CHECK(f.commits == 3);
  CHECK(f.Count("outbox") == "3");
  CHECK(f.Count("batches") == "3");
}

TEST_CASE("a change without room for its message in the outbox is no change") {
  Fixture f;
  f.database.Query("ALTER TABLE outbox ADD CHECK (topic <> 'topic')");
  CHECK_FALSE(f.store.Create(Soon(), kBox).ok());
  CHECK(f.Count("packages") == "0");
  CHECK(f.Count("batches") == "0");
  CHECK(f.commits == 0);
}

class Spans final : public trace::Sink {
 public:
  void Take(trace::SpanData span) override {
    absl::MutexLock lock(&mutex_);
    spans_.push_back(std::move(span));
  }
  std::vector<trace::SpanData> Get() {
    absl::MutexLock lock(&mutex_);
    return spans_;
  }

 private:
  absl::Mutex mutex_;
  std::vector<trace::SpanData> spans_ ABSL_GUARDED_BY(mutex_);
};

TEST_CASE("each method has a span with its statements below it") {
  Fixture f;
  REQUIRE(f.store.Create(Soon(), kBox).ok());
  Spans sink;
  const trace::Tracer tracer(&sink, 1);
  std::string trace_id;
  {
    trace::Span root(tracer, "rpc", trace::Kind::kServer, std::nullopt);
    trace_id = root.context().trace_id_hex();
    REQUIRE(f.store.Create(Soon(), kBox).ok());
    REQUIRE(f.store.Update(Soon(), {2, "bag", {}, {}, {}}).ok());
    REQUIRE(f.store.Describe(Soon(), 2).ok());
    REQUIRE(f.store.List(Soon(), {.offset = 0, .limit = 10}).ok());
    REQUIRE(f.store.Remove(Soon(), 2).ok());
    CHECK(absl::IsNotFound(f.store.Remove(Soon(), 2)));
  }
  const std::vector<trace::SpanData> spans = sink.Get();
  const auto find = [&](const std::string& name) {
    for (const trace::SpanData& span : spans) {
      if (span.name == name) return span;
    }
    FAIL("no span " << name);
    return trace::SpanData();
  };
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"PackageStore.Create", "packages.insert"}, {"PackageStore.Create", "outbox.append"},
      {"PackageStore.Create", "postgres.commit"}, {"PackageStore.Update", "packages.lock"},
      {"PackageStore.Update", "packages.update"}, {"PackageStore.Describe", "packages.describe"},
      {"PackageStore.List", "packages.list"},     {"PackageStore.Remove", "packages.delete"}};
  const trace::SpanData root = find("rpc");
  for (const auto& [method, statement] : expected) {
    CAPTURE(method, statement);
    CHECK(find(method).parent_span_id == root.context.span_id);
    CHECK(find(statement).parent_span_id == find(method).context.span_id);
  }
  for (const trace::SpanData& span : spans) {
    CAPTURE(span.name);
    CHECK_FALSE(span.error);  // what is not there is an answer, not a failure
  }
  // The message carries on the trace that caused it.
  const std::string create = find("PackageStore.Create").context.ToTraceparent();
  CHECK(f.database.Query("SELECT traceparent FROM outbox ORDER BY batch_id LIMIT 1 OFFSET 1") ==
        create);
  CHECK(create.find(trace_id) != std::string::npos);
}

}  // namespace
}  // namespace saldo::packages
