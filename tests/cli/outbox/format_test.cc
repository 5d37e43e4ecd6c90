#include "cli/outbox/format.h"

#include <catch2/catch.hpp>

namespace saldo::cli::outbox {
namespace {

Status Example() {
  Status status;
  status.last_seq = 12;
  status.last_message = 40;
  status.scanned_to = 15;
  status.gaps = {3, 14};
  status.unsequenced = {2, 5, absl::Milliseconds(1500)};
  status.cursors = {{"relay", 10, absl::UnixEpoch(), {2, 7, absl::Seconds(3)}},
                    {"other", 12, absl::UnixEpoch(), {0, 0, {}}}};
  status.dead_waiting = 4;
  status.dead_oldest = absl::Minutes(2);
  status.holders = {{"relay", 77, "saldo-\"relay\"", "10.0.0.1:5000", absl::UnixEpoch()}};
  status.partitions = {{"outbox", 0, 1'000'000, 24'576}, {"outbox", 1'000'000, 2'000'000, 5 << 20}};
  return status;
}

}  // namespace

TEST_CASE("bytes are shown on one line, whatever they are") {
  CHECK(Printable("package 7", 20) == "package 7");
  CHECK(Printable(std::string_view("a\0\n\\\xff", 5), 20) == "a\\x00\\x0a\\x5c\\xff");
  CHECK(Printable("12345", 5) == "12345");
  CHECK(Printable("123456", 5) == "12345...");
  CHECK(Printable("", 5).empty());
}

TEST_CASE("the status for people") {
  CHECK(StatusText(Example()) ==
        "sequenced      40 messages in 12 batches\n"
        "unsequenced    5 messages in 2 batches, the oldest for 1.5 s\n"
        "gaps           2 batch ids: 3, 14\n"
        "dead letters   4 wait, the oldest for 120 s: see `saldo outbox dead`\n"
        "sequencer      NOBODY: none runs\n"
        "relay          saldo-\"relay\" from 10.0.0.1:5000, connected since 1970-01-01 00:00:00 "
        "UTC (PostgreSQL process 77)\n"
        "\n"
        "consumer  seq  moved at                 waits for it\n"
        "relay     10   1970-01-01 00:00:00 UTC  7 messages in 2 batches, the oldest for 3.0 s\n"
        "other     12   1970-01-01 00:00:00 UTC  nothing\n"
        "\n"
        "partition       from     below    size\n"
        "outbox_0        0        1000000  24 KiB\n"
        "outbox_1000000  1000000  2000000  5.0 MiB\n");
  Status calm;
  CHECK_THAT(StatusText(calm), Catch::Contains("unsequenced    nothing\ngaps           none\n"
                                               "dead letters   none\n"));
  calm.gaps.assign(11, 5);
  CHECK_THAT(StatusText(calm),
             Catch::Contains("11 batch ids: 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, ...\n"));
}

TEST_CASE("the status for programs") {
  CHECK(StatusJson(Example()) ==
        R"({"last_seq": 12, "last_message": 40, "scanned_to": 15, "gaps": [3, 14], )"
        R"("unsequenced": {"batches": 2, "messages": 5, "oldest_seconds": 1.500}, "cursors": [)"
        R"({"consumer": "relay", "seq": 10, "updated_at": "1970-01-01T00:00:00.000000Z", )"
        R"("lag": {"batches": 2, "messages": 7, "oldest_seconds": 3.000}}, )"
        R"({"consumer": "other", "seq": 12, "updated_at": "1970-01-01T00:00:00.000000Z", )"
        R"("lag": {"batches": 0, "messages": 0, "oldest_seconds": null}}], )"
        R"("dead_letters": {"waiting": 4, "oldest_seconds": 120.000}, "locks": [)"
        R"({"lock": "relay", "pid": 77, "application": "saldo-\"relay\"", )"
        R"("client": "10.0.0.1:5000", "connected_at": "1970-01-01T00:00:00.000000Z"}], )"
        R"("partitions": [)"
        R"({"parent": "outbox", "lower_bound": 0, "upper_bound": 1000000, "bytes": 24576}, )"
        R"({"parent": "outbox", "lower_bound": 1000000, "upper_bound": 2000000, )"
        R"("bytes": 5242880}]})"
        "\n");
}

TEST_CASE("dead letters as a table") {
  CHECK(DeadText({}, 0) == "no dead letter waits\n");
  CHECK(DeadText({{5, "0-9-1", "packages", std::string("\0\1", 2), "package.created", 3,
                   absl::UnixEpoch(), "no\nway", 120}},
                 7) ==
        "id  message id  topic     key       type             attempts  failed at                "
        "payload  error\n"
        "5   0-9-1       packages  \\x00\\x01  package.created  3         1970-01-01 00:00:00 UTC  "
        "120 B    no\\x0away\n"
        "\n1 of 7 that wait. `saldo outbox redrive ID` sends one anew.\n");
}

}  // namespace saldo::cli::outbox
