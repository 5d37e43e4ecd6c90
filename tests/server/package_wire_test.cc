// Clients exist: these bytes and names must be understood and answered for ever.
#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/escaping.h"
#include "google/protobuf/util/json_util.h"
#include "tests/server/test_app.h"

namespace saldo::server {
namespace {

grpc::Status RawCall(TestApp& app, const std::string& method, const std::string& request,
                     std::string* response) {
  return server::RawCall(app.channel,
                         "/hablof.logistic_package_api.v1.LogisticPackageApiService/" + method,
                         request, response);
}

std::string Bytes(const char* hex) { return absl::HexStringToBytes(hex); }

TEST_CASE("field numbers and types on the wire") {
  TestApp app;
  std::string response;
  // title=1 "box", material=2 "wood", maximum_volume=3 1.5, reusable=4 true
  REQUIRE(RawCall(app, "CreatePackageV1", Bytes("0a03626f781204776f6f641d0000c03f2001"), &response)
              .ok());
  CHECK(response == Bytes("0801"));  // id=1 1

  // package_id=1 1, title=2 "bag", material=3 "wool", maximum_volume=4 2.0, reusable=5 {1: false}
  REQUIRE(
      RawCall(app, "UpdatePackageV1", Bytes("080112036261671a04776f6f6c25000000402a00"), &response)
          .ok());
  CHECK(response == Bytes("0801"));  // suc=1 true

  // package_id=1 1
  REQUIRE(RawCall(app, "DescribePackageV1", Bytes("0801"), &response).ok());
  // value=1 { id=1 1, title=2, material=3, maximum_volume=4 2.0, created=6 {}, updated=7 {1: {}} };
  // a false reusable=5 is not sent.
  const std::string fixed = Bytes("080112036261671a04776f6f6c2500000040");
  REQUIRE(response.size() > fixed.size() + 4);
  CHECK(response[0] == '\x0a');
  CHECK(response.substr(2, fixed.size()) == fixed);
  CHECK(response[2 + fixed.size()] == '\x32');
  const auto created_size = static_cast<unsigned char>(response[3 + fixed.size()]);
  CHECK(response[4 + fixed.size() + created_size] == '\x3a');
  CHECK(response[6 + fixed.size() + created_size] == '\x0a');

  // offset=1 0, limit=2 5
  std::string list;
  REQUIRE(RawCall(app, "ListPackagesV1", Bytes("08001005"), &list).ok());
  CHECK(list == "\x12" + response.substr(1));  // packages=2, as value=1 above

  REQUIRE(RawCall(app, "RemovePackageV1", Bytes("0801"), &response).ok());
  CHECK(response == Bytes("0801"));  // suc=1 true
}

TEST_CASE("fields that are not known yet are let pass") {
  TestApp app;
  std::string response;
  // As above, and field 15 "new".
  CHECK(RawCall(app, "CreatePackageV1", Bytes("0a03626f781204776f6f641d0000c03f7a036e6577"),
                &response)
            .ok());
}

TEST_CASE("text that is not UTF-8 and bytes that are no message are refused") {
  TestApp app;
  std::string response;
  // title "\xff", material "wood\xc3", maximum_volume 1.5
  const grpc::Status text =
      RawCall(app, "CreatePackageV1", Bytes("0a01ff1205776f6f64c31d0000c03f"), &response);
  CHECK(text.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(text.error_message() == "title: must be valid UTF-8; material: must be valid UTF-8");
  google::rpc::BadRequest detail;
  REQUIRE(rpc::GetDetail(rpc::FromGrpcStatus(text), &detail));
  REQUIRE(detail.field_violations_size() == 2);
  CHECK(detail.field_violations(0).field() == "title");
  CHECK(detail.field_violations(1).field() == "material");

  for (const std::string& bytes : {std::string("garbage"), Bytes("0a05"), Bytes("0aff01")}) {
    const grpc::Status garbage = RawCall(app, "CreatePackageV1", bytes, &response);
    CHECK(garbage.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
    CHECK(garbage.error_message() ==
          "the request's bytes are no "
          "hablof.logistic_package_api.v1.CreatePackageV1Request");
  }
  CHECK(app.database.Query("SELECT count(*) FROM packages") == "0");
  CHECK(app.Metric("grpc_server_handled_total{grpc_code=\"InvalidArgument\","
                   "grpc_method=\"CreatePackageV1\",grpc_service=\"hablof.logistic_package_api.v1."
                   "LogisticPackageApiService\",grpc_type=\"unary\"}") == "4");
}

template <typename Message>
std::string Json(const Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  std::string json;
  REQUIRE(google::protobuf::util::MessageToJsonString(message, &json, options).ok());
  return json;
}

TEST_CASE("the JSON names are those of old clients") {
  CHECK(Json(api::CreatePackageV1Request()) ==
        R"({"Title":"","Material":"","MaximumVolume":0,"Reusable":false})");
  CHECK(Json(api::CreatePackageV1Response()) == R"({"ID":"0"})");
  CHECK(Json(api::DescribePackageV1Request()) == R"({"PackageID":"0"})");
  CHECK(Json(api::ListPackagesV1Request()) == R"({"Offset":"0","Limit":"0"})");
  CHECK(Json(api::ListPackagesV1Response()) == R"({"PackageTitle":[],"Packages":[]})");
  CHECK(Json(api::RemovePackageV1Request()) == R"({"PackageID":"0"})");
  CHECK(Json(api::RemovePackageV1Response()) == R"({"Suc":false})");
  CHECK(Json(api::UpdatePackageV1Response()) == R"({"Suc":false})");
  api::UpdatePackageV1Request update;
  update.mutable_reusable();
  CHECK(
      Json(update) ==
      R"({"PackageID":"0","Title":"","Material":"","MaximumVolume":0,"Reusable":{"Reusable":false}})");
  api::DescribePackageV1Response described;
  described.mutable_value()->mutable_created();
  described.mutable_value()->mutable_updated()->mutable_time();
  const std::string json = Json(described);
  for (const char* name :
       {"\"Value\":", "\"ID\":", "\"Title\":", "\"Material\":", "\"MaximumVolume\":",
        "\"Reusable\":", "\"Created\":", "\"Updated\":", "\"Time\":"}) {
    CAPTURE(json, name);
    CHECK(json.find(name) != std::string::npos);
  }
}

}  // namespace
}  // namespace saldo::server
