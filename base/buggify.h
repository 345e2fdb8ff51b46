// CAIRN_BUGGIFY("label"): a place where the code may as well do what is right and rare: end a batch
// early, find no room, do a thing once more. The simulator says when (FoundationDB's BUGGIFY); the
// constant false where nobody does, and where CAIRN_DCHECKS is off, as in what is shipped.
// Per thread: what one installs is asked by the code that runs on that thread alone.
// Never where the other way is wrong: that is a mutant (base/mutant.h).
#pragma once

namespace cairn {

class Buggifier {
  public:
    virtual ~Buggifier() = default;
    // Whether the place of this name takes its rare way now.
    virtual bool strikes(const char* label) = 0;
};

// Returns the one before; null: none.
Buggifier* set_buggifier(Buggifier* buggifier);

bool buggify(const char* label);

}  // namespace cairn

#ifdef CAIRN_DCHECKS
#define CAIRN_BUGGIFY(label) ::cairn::buggify(label)
#else
#define CAIRN_BUGGIFY(label) false
#endif
