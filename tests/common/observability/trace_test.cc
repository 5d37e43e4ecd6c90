#include "common/observability/trace.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "common/runtime/thread.h"

namespace saldo::trace {
namespace {

class FakeSink : public Sink {
 public:
  void Take(SpanData span) override { spans.push_back(std::move(span)); }
  std::vector<SpanData> spans;
};

SpanContext Caller(bool sampled) {
  const auto context = SpanContext::FromTraceparent(
      sampled ? "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
              : "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00");
  REQUIRE(context.has_value());
  return *context;
}

TEST_CASE("traceparent headers are read as W3C Trace Context says") {
  struct Row {
    std::string header;
    bool valid;
    bool sampled = false;
  };
  const std::string trace = "0af7651916cd43dd8448eb211c80319c";
  const std::string span = "b7ad6b7169203331";
  const std::vector<Row> rows = {
      {"00-" + trace + "-" + span + "-01", true, true},
      {"00-" + trace + "-" + span + "-00", true, false},
      {"00-" + trace + "-" + span + "-03", true, true},
      {"00-" + trace + "-" + span + "-fe", true, false},
      {"cc-" + trace + "-" + span + "-01", true, true},       // a later version
      {"cc-" + trace + "-" + span + "-01-what", true, true},  // may say more
      {"cc-" + trace + "-" + span + "-01.what", false},       // but after a dash
      {"00-" + trace + "-" + span + "-01-what", false},
      {"ff-" + trace + "-" + span + "-01", false},
      {"00-" + std::string(32, '0') + "-" + span + "-01", false},
      {"00-" + trace + "-" + std::string(16, '0') + "-01", false},
      {"00-0AF7651916CD43DD8448EB211C80319C-" + span + "-01", false},
      {"00-" + trace + "-" + span + "-0g", false},
      {"0x-" + trace + "-" + span + "-01", false},
      {"00-" + trace + "-" + span + "-1", false},
      {"00-" + trace + "-" + span, false},
      {"00_" + trace + "-" + span + "-01", false},
      {"00-" + trace + "_" + span + "-01", false},
      {"00-" + trace + "-" + span + "_01", false},
      {" 00-" + trace + "-" + span + "-01", false},
      {"", false},
      {std::string(55, '-'), false},
  };
  for (const Row& row : rows) {
    INFO(row.header);
    const auto context = SpanContext::FromTraceparent(row.header);
    CHECK(context.has_value() == row.valid);
    if (!context.has_value()) continue;
    CHECK(context->sampled == row.sampled);
    CHECK(context->trace_id_hex() == trace);
    CHECK(context->span_id_hex() == span);
    CHECK(context->ToTraceparent() == "00-" + trace + "-" + span + (row.sampled ? "-01" : "-00"));
  }
  CHECK(SpanContext().ToTraceparent().empty());
}

TEST_CASE("spans below each other on a thread make a tree") {
  FakeSink sink;
  const Tracer tracer(&sink, 1);
  const SpanContext caller = Caller(true);
  CHECK(CurrentSpan() == nullptr);
  CHECK(CurrentTraceparent().empty());
  const absl::Time before = absl::Now();
  {
    Span rpc(tracer, "rpc", Kind::kServer, caller);
    rpc.SetAttribute("rpc.system", std::string("grpc"));
    rpc.SetAttribute("rows", int64_t{3});
    rpc.SetAttribute("cached", true);
    {
      Span repository("repository");
      CHECK(CurrentTraceparent() == repository.context().ToTraceparent());
      { Span sql("SELECT", Kind::kClient); }
      {
        Span sql("INSERT", Kind::kClient);
        sql.SetStatus(absl::OkStatus());
        sql.SetStatus(absl::AlreadyExistsError("duplicate"));
      }
    }
    CHECK(CurrentSpan() == &rpc.context());
  }
  CHECK(CurrentSpan() == nullptr);
  REQUIRE(sink.spans.size() == 4);
  const SpanData& select = sink.spans[0];
  const SpanData& insert = sink.spans[1];
  const SpanData& repository = sink.spans[2];
  const SpanData& rpc = sink.spans[3];
  CHECK(select.name == "SELECT");
  CHECK(insert.name == "INSERT");
  CHECK(repository.name == "repository");
  CHECK(rpc.name == "rpc");
  CHECK(rpc.parent_span_id == caller.span_id);
  CHECK(repository.parent_span_id == rpc.context.span_id);
  CHECK(select.parent_span_id == repository.context.span_id);
  CHECK(insert.parent_span_id == repository.context.span_id);
  std::set<std::string> ids = {caller.span_id_hex()};
  for (const SpanData& span : sink.spans) {
    CHECK(span.context.trace_id == caller.trace_id);
    CHECK(span.context.sampled);
    CHECK(ids.insert(span.context.span_id_hex()).second);
    CHECK(span.start >= before);
    CHECK(span.end >= span.start);
    CHECK(span.end <= rpc.end);
  }
  CHECK(rpc.kind == Kind::kServer);
  CHECK(select.kind == Kind::kClient);
  CHECK(repository.kind == Kind::kInternal);
  REQUIRE(rpc.attributes.size() == 3);
  CHECK(rpc.attributes[0].first == "rpc.system");
  CHECK(std::get<std::string>(rpc.attributes[0].second) == "grpc");
  CHECK(std::get<int64_t>(rpc.attributes[1].second) == 3);
  CHECK(std::get<bool>(rpc.attributes[2].second));
  CHECK(insert.error);
  // The text of an error may quote what a caller sent.
  CHECK(insert.error_message == "ALREADY_EXISTS");
  REQUIRE(insert.attributes.size() == 1);
  CHECK(insert.attributes[0].first == "error.type");
  CHECK(std::get<std::string>(insert.attributes[0].second) == "ALREADY_EXISTS");
  CHECK_FALSE(select.error);
}

TEST_CASE("a span without a parent is the root of a trace of its own") {
  FakeSink sink;
  const Tracer tracer(&sink, 1);
  { Span first(tracer, "a", Kind::kServer, std::nullopt); }
  { Span second(tracer, "b", Kind::kServer, SpanContext()); }
  REQUIRE(sink.spans.size() == 2);
  CHECK(sink.spans[0].context.valid());
  CHECK(sink.spans[1].context.valid());
  CHECK(sink.spans[0].context.trace_id != sink.spans[1].context.trace_id);
  CHECK(sink.spans[0].parent_span_id == std::array<uint8_t, 8>{});
}

TEST_CASE("without a current span, an inner span does nothing") {
  Span span("alone");
  CHECK_FALSE(span.recording());
  CHECK_FALSE(span.context().valid());
  CHECK(CurrentSpan() == nullptr);
}

TEST_CASE("another thread has no current span") {
  FakeSink sink;
  const Tracer tracer(&sink, 1);
  Span span(tracer, "here", Kind::kServer, std::nullopt);
  bool none = false;
  runtime::Thread("other", [&] { none = CurrentSpan() == nullptr; }).Join();
  CHECK(none);
}

TEST_CASE("a caller's decision not to sample is followed, and its ids are passed on") {
  FakeSink sink;
  const Tracer tracer(&sink, 1);
  const SpanContext caller = Caller(false);
  {
    Span outer(tracer, "outer", Kind::kServer, caller);
    Span inner("inner");
    CHECK_FALSE(outer.recording());
    CHECK_FALSE(inner.recording());
    inner.SetAttribute("ignored", true);
    inner.SetStatus(absl::InternalError("ignored"));
    CHECK(CurrentTraceparent() == caller.ToTraceparent());
    CHECK(inner.context().ToTraceparent() == caller.ToTraceparent());
  }
  CHECK(CurrentSpan() == nullptr);
  CHECK(sink.spans.empty());
}

TEST_CASE("without a sink ids are made at roots and a caller's are passed on unchanged") {
  const Tracer tracer(nullptr, 1);
  {
    Span root(tracer, "root", Kind::kServer, std::nullopt);
    CHECK(root.context().valid());
    CHECK_FALSE(root.context().sampled);
    CHECK_FALSE(root.recording());
  }
  const SpanContext caller = Caller(true);
  Span child(tracer, "child", Kind::kServer, caller);
  CHECK(CurrentTraceparent() == caller.ToTraceparent());
}

TEST_CASE("the ratio decides about roots, alike in every process") {
  FakeSink sink;
  constexpr int kRoots = 20'000;
  const Tracer quarter(&sink, 0.25);
  const Tracer half(&sink, 0.5);
  int kept = 0;
  for (int i = 0; i < kRoots; ++i) {
    Span root(quarter, "root", Kind::kServer, std::nullopt);
    CHECK(root.context().sampled == root.recording());
    if (!root.recording()) continue;
    ++kept;
    REQUIRE(half.SampleRoot(root.context()));
  }
  // Six standard deviations: fails by chance once in 500 million runs.
  CHECK(std::abs(kept - kRoots / 4) < 6 * std::sqrt(kRoots * 0.25 * 0.75));
  CHECK(sink.spans.size() == static_cast<size_t>(kept));

  const SpanContext context = Caller(false);
  CHECK_FALSE(Tracer(&sink, 0).SampleRoot(context));
  CHECK(Tracer(&sink, 1).SampleRoot(context));
  CHECK_FALSE(Tracer(nullptr, 1).SampleRoot(context));
}

TEST_CASE("a tracer that does not follow parents decides by the trace id") {
  FakeSink sink;
  const Tracer always(&sink, 1, false);
  const Tracer never(&sink, 0, false);
  {
    Span kept(always, "kept", Kind::kServer, Caller(false));
    CHECK(kept.context().sampled);
    CHECK(kept.recording());
  }
  {
    Span dropped(never, "dropped", Kind::kServer, Caller(true));
    CHECK_FALSE(dropped.context().sampled);
    CHECK_FALSE(dropped.recording());
  }
  CHECK(sink.spans.size() == 1);
}

TEST_CASE("a span measured elsewhere is recorded as its trace is sampled") {
  FakeSink sink;
  const Tracer tracer(&sink, 0);
  for (const bool sampled : {false, true}) {
    const SpanContext parent = Caller(sampled);
    SpanData span;
    span.name = "send";
    span.context = NewChildContext(parent);
    span.parent_span_id = parent.span_id;
    CHECK(span.context.trace_id == parent.trace_id);
    CHECK(span.context.span_id != parent.span_id);
    CHECK(span.context.sampled == sampled);
    Record(tracer, span);
    Record(Tracer(nullptr, 1), span);
  }
  REQUIRE(sink.spans.size() == 1);
  CHECK(sink.spans[0].name == "send");
}

TEST_CASE("a span measured inside the current one becomes its child") {
  FakeSink sink;
  const Tracer tracer(&sink, 1);
  SpanData statement;
  statement.name = "statement";
  RecordChild(statement);  // no current span
  {
    Span unsampled(tracer, "unsampled", Kind::kServer, Caller(false));
    RecordChild(statement);
  }
  CHECK(sink.spans.empty());
  {
    Span rpc(tracer, "rpc", Kind::kServer, Caller(true));
    RecordChild(statement);
  }
  REQUIRE(sink.spans.size() == 2);
  CHECK(sink.spans[0].name == "statement");
  CHECK(sink.spans[0].context.valid());
  CHECK(sink.spans[0].context.sampled);
  CHECK(sink.spans[0].context.trace_id == sink.spans[1].context.trace_id);
  CHECK(sink.spans[0].context.span_id != sink.spans[1].context.span_id);
  CHECK(sink.spans[0].parent_span_id == sink.spans[1].context.span_id);
}

TEST_CASE("what one span holds is bounded") {
  FakeSink sink;
  const Tracer tracer(&sink, 1);
  {
    Span span(tracer, "big", Kind::kInternal, std::nullopt);
    for (int64_t i = 0; i < 1000; ++i) span.SetAttribute("n" + std::to_string(i), i);
    for (int i = 0; i < 1000; ++i) span.AddLink(Caller(true));
    span.AddLink(SpanContext());
  }
  {
    Span span(tracer, "text", Kind::kInternal, std::nullopt);
    span.AddLink(SpanContext());
    span.AddLink(Caller(true));
    span.SetAttribute("text", std::string(100'000, 'x'));
  }
  CHECK(sink.spans[0].attributes.size() == 64);
  CHECK(sink.spans[0].links.size() == 128);
  CHECK(sink.spans[1].links.size() == 1);
  CHECK(std::get<std::string>(sink.spans[1].attributes[0].second).size() == 4096);
}

TEST_CASE("the current span can be linked to the one that did its work") {
  FakeSink sink;
  const Tracer tracer(&sink, 1);
  LinkCurrentSpan(Caller(true));
  {
    Span outer(tracer, "outer", Kind::kInternal, std::nullopt);
    Span inner("inner");
    LinkCurrentSpan(Caller(true));
    LinkCurrentSpan(SpanContext());
  }
  REQUIRE(sink.spans.size() == 2);
  REQUIRE(sink.spans[0].links.size() == 1);
  CHECK(sink.spans[0].links[0].ToTraceparent() == Caller(true).ToTraceparent());
  CHECK(sink.spans[1].links.empty());
}

TEST_CASE("ids of many threads differ") {
  constexpr int kThreads = 4;
  constexpr int kIds = 5000;
  std::vector<std::vector<std::string>> made(kThreads);
  {
    std::vector<runtime::Thread> threads;
    for (auto& ids : made) {
      threads.emplace_back("ids", [&ids] {
        const Tracer tracer(nullptr, 1);
        for (int i = 0; i < kIds; ++i) {
          const Span root(tracer, "root", Kind::kServer, std::nullopt);
          ids.push_back(root.context().trace_id_hex());
          ids.push_back(root.context().span_id_hex());
        }
      });
    }
  }
  std::set<std::string> all;
  for (const auto& ids : made) all.insert(ids.begin(), ids.end());
  CHECK(all.size() == 2 * kThreads * kIds);
}

}  // namespace
}  // namespace saldo::trace
