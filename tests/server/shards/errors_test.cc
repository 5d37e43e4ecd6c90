// What a caller is told about a shard.
#include "server/shards/errors.h"

#include <catch2/catch.hpp>

#include "tests/server/account_requests.h"

namespace saldo::shards {
namespace {

using server::Details;
using server::InfoOf;

bool HasRetry(const absl::Status& status) {
  google::rpc::RetryInfo retry;
  return rpc::GetDetail(status, &retry);
}

}  // namespace

TEST_CASE("A database that is away is a shard that is not available, and no more is told") {
  const absl::Status status = OfShard("north", absl::UnavailableError("host=10.0.0.1 is down"));
  CHECK(status.code() == absl::StatusCode::kUnavailable);
  CHECK(status.message() == "shard \"north\" is not available");
  CHECK(InfoOf(status) == Details{{"reason", "SHARD_UNAVAILABLE"}, {"shard", "north"}});
  CHECK(HasRetry(status));
  // Once is enough.
  CHECK(OfShard("south", status) == status);
}

TEST_CASE("A failure of the server gets the shard's name, with its details") {
  const absl::Status full =
      rpc::WithRetryInfo(absl::ResourceExhaustedError("too many writes wait"), absl::Seconds(1));
  const absl::Status named = OfShard("north", full);
  CHECK(named.code() == absl::StatusCode::kResourceExhausted);
  CHECK(named.message() == "shard \"north\": too many writes wait");
  CHECK(HasRetry(named));
  CHECK(InfoOf(named).empty());

  const absl::Status stopping =
      rpc::WithRetryInfo(absl::UnavailableError("the server stops"), absl::Seconds(1));
  CHECK(OfShard("north", stopping).message() == "shard \"north\": the server stops");

  const absl::Status version =
      rpc::WithErrorInfo(absl::AbortedError("another version"), "MISMATCH", "saldo", {{"a", "b"}});
  CHECK(InfoOf(OfShard("north", version)) ==
        Details{{"reason", "MISMATCH"}, {"a", "b"}, {"shard", "north"}});
}

TEST_CASE("What is wrong with a request stays as it is") {
  for (const absl::Status& status :
       {absl::OkStatus(), absl::InvalidArgumentError("x"), absl::NotFoundError("x"),
        absl::AlreadyExistsError("x"), absl::FailedPreconditionError("x"),
        absl::OutOfRangeError("x"), absl::CancelledError("x")}) {
    CHECK(OfShard("north", status) == status);
  }
}

}  // namespace saldo::shards
