#include "common/rpc/errors.h"

#include <catch2/catch.hpp>
#include <string>

#include "google/rpc/status.pb.h"

namespace saldo::rpc {
namespace {

TEST_CASE("BadRequestBuilder lists every field in message and detail") {
  BadRequestBuilder builder;
  CHECK(builder.ok());
  CHECK(builder.Build().ok());
  builder.Add("title", "must have 1 to 32 characters");
  builder.Add("maximum_volume", "must be above 0");
  CHECK_FALSE(builder.ok());
  const absl::Status status = builder.Build();
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  CHECK(status.message() == "title: must have 1 to 32 characters; maximum_volume: must be above 0");
  google::rpc::BadRequest detail;
  REQUIRE(GetDetail(status, &detail));
  REQUIRE(detail.field_violations_size() == 2);
  CHECK(detail.field_violations(1).field() == "maximum_volume");
  CHECK(detail.field_violations(1).description() == "must be above 0");
}

TEST_CASE("a BadRequest of any size fits into a header") {
  BadRequestBuilder builder;
  builder.Add(std::string(5000, 'f'), std::string(5000, 'd'));
  for (int i = 0; i < 10000; ++i) builder.Add("field", "description");
  const grpc::Status status = ToGrpcStatus(builder.Build(), "");
  CHECK(status.error_message().size() + status.error_details().size() * 4 / 3 < 6000);
  CHECK_FALSE(status.error_details().empty());
  CHECK(status.error_message().find("and 10000 more") != std::string::npos);
}

TEST_CASE("a long message is cut between characters") {
  std::string text = "x";
  for (int i = 0; i < 2000; ++i) text += "ж";
  const grpc::Status status = ToGrpcStatus(absl::NotFoundError(text), "");
  CHECK(status.error_message().size() <= 1024 + 3);
  // One byte, two-byte characters, three dots.
  CHECK((status.error_message().size() - 4) % 2 == 0);
}

TEST_CASE("RetryInfo and ErrorInfo survive the way to the client, code for code") {
  absl::Status status = WithErrorInfo(absl::FailedPreconditionError("too little money"),
                                      "BALANCE_TOO_LOW", "saldo", {{"limit", "-10.00"}});
  status = WithRetryInfo(status, absl::Milliseconds(1500));
  const absl::Status back = FromGrpcStatus(ToGrpcStatus(status, "t"));
  CHECK(back.code() == absl::StatusCode::kFailedPrecondition);
  CHECK(back.message() == "too little money");
  google::rpc::ErrorInfo info;
  REQUIRE(GetDetail(back, &info));
  CHECK(info.reason() == "BALANCE_TOO_LOW");
  CHECK(info.domain() == "saldo");
  CHECK(info.metadata().at("limit") == "-10.00");
  google::rpc::RetryInfo retry;
  REQUIRE(GetDetail(back, &retry));
  CHECK(retry.retry_delay().seconds() == 1);
  CHECK(retry.retry_delay().nanos() == 500'000'000);
}

TEST_CASE("every code has its counterpart") {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "m");
    CHECK(ToGrpcStatus(status, "t").error_code() == code);
    CHECK(static_cast<int>(FromGrpcStatus(ToGrpcStatus(status, "t")).code()) == code);
  }
  CHECK(ToGrpcStatus(absl::OkStatus(), "t").ok());
  CHECK(FromGrpcStatus(grpc::Status::OK).ok());
}

TEST_CASE("what operators should see does not reach clients") {
  const char* secret = "SELECT secret FROM table on db7.internal";
  for (const auto code :
       {absl::StatusCode::kInternal, absl::StatusCode::kUnknown, absl::StatusCode::kDataLoss,
        absl::StatusCode::kUnavailable, absl::StatusCode::kAborted}) {
    absl::Status status(code, secret);
    status.SetPayload("saldo/sqlstate", absl::Cord(secret));
    const grpc::Status wire = ToGrpcStatus(status, "0123abcd");
    INFO(wire.error_message());
    CHECK(wire.error_code() == static_cast<int>(code));
    CHECK(wire.error_message().find("secret") == std::string::npos);
    CHECK(wire.error_details().find("secret") == std::string::npos);
    CHECK(wire.error_message().find("trace 0123abcd") != std::string::npos);
  }
  // An author who attaches details means the client.
  const absl::Status meant = WithRetryInfo(absl::UnavailableError("closed"), absl::Seconds(1));
  CHECK(ToGrpcStatus(meant, "t").error_message() == "closed");
}

TEST_CASE("notes between layers stay inside") {
  absl::Status status = absl::AlreadyExistsError("exists");
  status.SetPayload("saldo/sqlstate", absl::Cord("23505"));
  CHECK(ToGrpcStatus(status, "t").error_details().empty());
}

TEST_CASE("details too large for a header are left out, the message stays") {
  const absl::Status status =
      WithErrorInfo(absl::NotFoundError("gone"), "R", "D", {{"k", std::string(100'000, 'x')}});
  const grpc::Status wire = ToGrpcStatus(status, "t");
  CHECK(wire.error_message() == "gone");
  CHECK(wire.error_details().empty());
}

TEST_CASE("NotFound names what is missing") {
  const absl::Status status = NotFound("package", "7");
  CHECK(status.code() == absl::StatusCode::kNotFound);
  CHECK(status.message() == "package 7 not found");
}

}  // namespace
}  // namespace saldo::rpc
