// The bytes that a page of docs/formats shows, by name: the page is what the test compares with.
// Owned by one test; one thread.
// Never lets a shown line go unchecked: expect_all_used() fails then.
#pragma once

#include <map>
#include <set>
#include <string>

#include "base/bytes.h"

namespace cairn::test {

// "00 ff" for two bytes.
std::string hex(ByteView bytes);

class GoldenBytes {
  public:
    // Reads the blocks of docs/formats/`page` fenced as ```golden: a name, two or more blanks, the
    // bytes in hexadecimal, and whatever follows a '#'; a line that begins with blanks goes on.
    explicit GoldenBytes(const std::string& page);

    // The test fails when `bytes` are not those shown under `name`.
    void expect(const std::string& name, ByteView bytes);
    // The bytes themselves, for decoding.
    std::string bytes(const std::string& name);
    void expect_all_used() const;

  private:
    std::map<std::string, std::string> shown_;  // hexadecimal
    std::set<std::string> used_;
};

}  // namespace cairn::test
