"""A client that takes next to nothing of a snapshot: its files are not kept for long."""

from __future__ import annotations

import unittest

from cairnd_test import CAIRN, metric
from nodes import CAIRND
from restore_test import EXIT_INTERRUPTED, SAVE_SECONDS, OfLoneMember

DRIP_BYTES = 500  # a second
HANG_SECONDS = 180


class SlowReader(OfLoneMember):
    def test_drops(self) -> None:
        proxy, process = self.begin_held_save(drip=DRIP_BYTES)
        self.wait_until_nothing_is_left(HANG_SECONDS)
        self.assertEqual(metric(self.lone, "cairn_client_snapshots_stalled_total"), 1)
        proxy.go_on.set()
        _, error = process.communicate(timeout=SAVE_SECONDS)
        self.assertEqual(process.returncode, EXIT_INTERRUPTED)
        self.assertIn("too little of the snapshot was taken in a minute", error)


if __name__ == "__main__":
    if not (CAIRND and CAIRN):
        raise SystemExit("CAIRND and CAIRN must name the programs")
    unittest.main()
