#include "base/url.h"

#include <string>
#include <vector>

#include "catch.h"

namespace cairn {
namespace {

std::string error_of(const std::string& text) {
    const auto url = parse_url(text);
    REQUIRE(url.has_error());
    CHECK(url.error().code == Errc::kInvalidConfig);
    return url.error().detail;
}

}  // namespace

TEST_CASE("url: scheme, host and port", "[base][url]") {
    const Url url = parse_url(" HTTP://Node-1.example:02380\t").value();
    CHECK(url.scheme == "http");
    CHECK(url.host == "Node-1.example");
    CHECK(url.port == 2380);
    CHECK(url.text == "http://Node-1.example:02380");
    CHECK_FALSE(url.host_is_ip());

    const Url six = parse_url("https://[::1]:65535").value();
    CHECK(six.host == "::1");
    CHECK(six.port == 65535);
    CHECK(six.host_is_ip());
    CHECK(parse_url("http://10.0.0.1:0").value().host_is_ip());
    CHECK(parse_url("http://:2379").value().host.empty());
}

TEST_CASE("url: what is none is refused in etcd's words", "[base][url]") {
    const std::string shape = "URL address does not have the form \"host:port\": ";
    CHECK(error_of("") == "URL scheme must be http, https, unix, or unixs: ");
    CHECK(error_of("127.0.0.1:2379") ==
          "URL scheme must be http, https, unix, or unixs: 127.0.0.1:2379");
    CHECK(error_of("ftp://h:1") == "URL scheme must be http, https, unix, or unixs: ftp://h:1");
    CHECK(error_of("http://h") == shape + "http://h");
    CHECK(error_of("http://::1:2379") == shape + "http://::1:2379");
    CHECK(error_of("http://[::1]") == shape + "http://[::1]");
    CHECK(error_of("http://user@h:1") == shape + "http://user@h:1");
    CHECK(error_of("http://h:1/") == "URL must not contain a path: http://h:1/");
    CHECK(error_of("http://h:1?x") == "URL must not contain a path: http://h:1?x");
    for (const char* port : {"", "x", "-1", "65536", "1x", "99999999999"}) {
        const std::string text = std::string("http://h:") + port;
        CHECK(error_of(text) ==
              "parse \"" + text + "\": invalid port \":" + port + "\" after host");
    }
}

TEST_CASE("url: lists are sorted and have no gaps", "[base][url]") {
    const auto urls = parse_urls("http://b:2, http://a:10,http://a:1").value();
    CHECK(join_urls(urls) == "http://a:1,http://a:10,http://b:2");
    CHECK(parse_urls("").has_error());
    CHECK(parse_urls("http://a:1,").has_error());
    CHECK(parse_urls("http://a:1,,http://b:2").has_error());
    CHECK(join_urls({}).empty());
}

}  // namespace cairn
