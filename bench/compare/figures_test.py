"""What the comparison makes of samples: medians over rounds, ratios round by round, and who stands for whom."""

import sys
import unittest

from figures import Figure, Results, ratio

SPEED = Figure("warm", "get", "get")
TIME = Figure("open", "reopen", "open", value="ms", more_is_better=False)


def results(samples, dim=768):
    stores = [{"name": name, "title": name, "limit": name.startswith("raw"), "lacks": {}}
              for name in ("vectolith", "lmdb", "rocksdb", "raw_mapped")]
    keys = ("store", "round", "workload", "figures")
    return Results({"stores": stores, "samples": [{"dim": 768, **dict(zip(keys, s))} for s in samples]}, dim)


def speeds(**by_store):
    return [(store, number, "get", {"per_s": value})
            for store, values in by_store.items() for number, value in enumerate(values)]


class FiguresTest(unittest.TestCase):
    def test_the_best_store_comes_first_and_the_median_of_the_rounds_counts(self):
        cells = results(speeds(vectolith=[1, 90, 5], lmdb=[4, 4, 4])).cells(SPEED)
        self.assertEqual([(c.store, c.median, c.spread) for c in cells],
                         [("vectolith", 5, (1, 90)), ("lmdb", 4, (4, 4))])

    def test_a_ratio_is_taken_within_each_round(self):
        # The whole machine is ten times slower in the second round: that is no spread of the ratio.
        cells = results(speeds(vectolith=[80, 8, 88], raw_mapped=[100, 10, 100])).cells(SPEED)
        self.assertEqual([c.against_raw for c in cells], [None, (0.8, 0.8, 0.88)])

    def test_where_less_is_better_the_ratio_is_turned_round(self):
        samples = [("vectolith", 0, "reopen", {"ms": 50}), ("lmdb", 0, "reopen", {"ms": 100})]
        cells = results(samples).cells(TIME)
        self.assertEqual([c.store for c in cells], ["vectolith", "lmdb"])
        self.assertEqual(ratio(TIME, cells[0], cells[1]), (2, 2, 2))

    def test_the_best_peer_is_neither_ours_nor_a_limit(self):
        all_results = results(speeds(vectolith=[9], raw_mapped=[10], lmdb=[2], rocksdb=[3]))
        cells = all_results.cells(SPEED)
        self.assertEqual(all_results.best_peer(cells).store, "rocksdb")
        self.assertEqual(all_results.best_limit(cells).store, "raw_mapped")
        self.assertEqual(all_results.own_cell(cells).store, "vectolith")

    def test_samples_of_one_round_are_averaged(self):
        (cell,) = results(speeds(lmdb=[2]) + speeds(lmdb=[4])).cells(SPEED)
        self.assertEqual(cell.by_round, {0: 3})

    def test_a_store_that_did_not_run_is_listed_last_with_its_reason(self):
        failed = {"dim": 768, "store": "lmdb", "round": 0, "workload": "get", "failed": "no luck"}
        some = results(speeds(vectolith=[1]))
        some.samples.append(failed)
        self.assertEqual([(c.store, c.lack) for c in some.cells(SPEED)], [("vectolith", ""), ("lmdb", "no luck")])

    def test_another_workload_stands_in_for_stores_that_lack_one(self):
        figure = Figure("cold", "cold_metas", "metas cold too", others_workload="get")
        samples = speeds(vectolith=[9], lmdb=[5]) + [("vectolith", 0, "cold_metas", {"per_s": 7})]
        self.assertEqual([(c.store, c.median) for c in results(samples).cells(figure)], [("vectolith", 7), ("lmdb", 5)])

    def test_samples_of_another_dim_do_not_count(self):
        self.assertEqual(results(speeds(lmdb=[1]), dim=384).cells(SPEED), [])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
