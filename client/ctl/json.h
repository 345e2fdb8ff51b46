// JsonObject and JsonArray: text as Go's encoding/json writes it, which etcdctl prints.
// Values; one thread. Fields come out in the order they were added; zero ones are left out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cairn::client::ctl {

// Quoted and escaped as Go does it: also <, > and &; bytes that are not UTF-8 become U+FFFD.
std::string json_string(std::string_view text);
std::string base64(std::string_view bytes);

class JsonObject {
  public:
    // Each leaves the field out when the value is zero, empty or false.
    JsonObject& number(std::string_view name, std::uint64_t value);
    JsonObject& signed_number(std::string_view name, std::int64_t value);
    JsonObject& text(std::string_view name, std::string_view value);
    JsonObject& bytes(std::string_view name, std::string_view value);
    JsonObject& flag(std::string_view name, bool value);
    // Written whatever it is; must be JSON.
    JsonObject& raw(std::string_view name, std::string_view json);
    [[nodiscard]] std::string take() const { return "{" + body_ + "}"; }

  private:
    std::string body_;
};

class JsonArray {
  public:
    JsonArray& add(std::string_view json);
    [[nodiscard]] bool empty() const { return body_.empty(); }
    [[nodiscard]] std::string take() const { return "[" + body_ + "]"; }

  private:
    std::string body_;
};

}  // namespace cairn::client::ctl
