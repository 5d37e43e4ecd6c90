// A JSON object's fields, read by protobuf's strict parser.
#pragma once

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/unknown_field_set.h>
#include <google/protobuf/util/json_util.h>

#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <string>

namespace saldo::testing {

using JsonFields = std::map<std::string, google::protobuf::Value>;

// Fails the test unless `json` is one JSON object.
// Struct's map is read from the wire format: the layout of map fields depends on ThreadSanitizer,
// with which libprotobuf is not built.
inline JsonFields ParseJson(const std::string& json) {
  const std::unique_ptr<google::protobuf::Message> parsed(
      google::protobuf::Struct::default_instance().New());
  const auto status = google::protobuf::util::JsonStringToMessage(json, parsed.get());
  INFO(json << ": " << status.ToString());
  REQUIRE(status.ok());
  google::protobuf::UnknownFieldSet entries;
  REQUIRE(entries.ParseFromString(parsed->SerializeAsString()));
  JsonFields fields;
  for (int i = 0; i < entries.field_count(); ++i) {
    google::protobuf::UnknownFieldSet entry;
    REQUIRE(entry.ParseFromString(entries.field(i).length_delimited()));
    REQUIRE(entry.field_count() == 2);
    REQUIRE(fields[entry.field(0).length_delimited()].ParseFromString(
        entry.field(1).length_delimited()));
  }
  return fields;
}

}  // namespace saldo::testing
