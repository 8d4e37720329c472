"""The study: what it reads off must be what a search would have answered."""

import json

import numpy as np
import pytest

from eval.recommendation import recommend, reranking_told
from eval.study_result import Setting
from eval.tradeoff import TradeoffStudy
from retriever import Retriever, RetrieverConfig
from retriever.errors import InvalidInputError
from tests.eval.factories import OverlapReranker, topical_dataset

DEPTHS = (0, 3, 10, 25)


@pytest.fixture(scope="module")
def study(encoder):
    def make(reranker, **options):
        settings = {
            "depths": DEPTHS,
            "dimensions": (16, 64),
            "rerankers": {"overlap": reranker},
            "config": RetrieverConfig(encoder=encoder),
        }
        return TradeoffStudy(topical_dataset(), **(settings | options))

    return make


@pytest.fixture(scope="module")
def result(study):
    return study(OverlapReranker(), fusions=("zscore", "rrf")).run()


def test_every_setting_of_the_grid_is_there_once(result):
    settings = [entry.setting for entry in result.settings]
    assert len(settings) == len(set(settings)) == 2 * 2 * 4


@pytest.mark.parametrize("fusion", ["zscore", "rrf"])
@pytest.mark.parametrize("dimensions", [16, 64])
@pytest.mark.parametrize("depth", DEPTHS)
def test_what_is_read_off_is_what_a_search_answers(result, encoder, fusion, dimensions, depth):
    dataset = topical_dataset()
    config = RetrieverConfig(encoder=encoder, dimensions=dimensions, fusion=fusion)
    name = Setting(f"hybrid {fusion}", dimensions, "overlap" if depth else None, depth)
    with Retriever.from_corpus(dataset.documents, config=config, reranker=OverlapReranker()) as retriever:
        for query, text in dataset.queries.items():
            found = retriever.search(text, k=20, depth=depth or 1, rerank=depth > 0)
            assert [one.id for one in found] == list(result.orders[name][query][:20])


def test_recall_at_depth_grows_and_bounds_hold(result):
    for stage, bounds in result.upper_bounds.items():
        entries = [e for e in result.settings if e.setting.stage == stage and e.setting.depth]
        recalls = [entry.recall_at_depth for entry in entries]
        assert recalls == sorted(recalls)
        assert all(entry.quality <= bounds[entry.setting.depth] + 1e-12 for entry in entries)
        assert list(bounds.values()) == sorted(bounds.values())


def test_no_setting_of_the_front_is_beaten(result):
    front = result.pareto()
    for entry in result.settings:
        beaten_by = [f for f in front if f.total.p50 <= entry.total.p50 and f.quality >= entry.quality]
        assert beaten_by


def test_each_pair_is_scored_once_for_the_whole_grid(study):
    reranker = OverlapReranker()
    found = study(reranker).run()
    deepest = OverlapReranker()
    single = study(deepest, depths=(25,), dimensions=(64,)).run()
    assert found.pairs_scored == reranker.pairs - 1  # one pair warms the model up
    assert single.pairs_scored == 12 * 25
    assert found.pairs_scored < 2 * single.pairs_scored


def test_an_interrupted_study_goes_on_and_a_wider_one_scores_only_what_is_new(study, tmp_path):
    class Failing(OverlapReranker):
        def score(self, query, passages):
            if self.pairs > 100:
                raise KeyboardInterrupt
            return super().score(query, passages)

    with pytest.raises(KeyboardInterrupt):
        study(Failing(), folder=tmp_path).run()
    resumed = OverlapReranker()
    first = study(resumed, folder=tmp_path).run()
    whole = study(OverlapReranker()).run()
    assert 0 < first.pairs_scored < whole.pairs_scored
    assert [e.scores.means() for e in first.settings] == [e.scores.means() for e in whole.settings]
    assert study(OverlapReranker(), folder=tmp_path).run().pairs_scored == 0
    wider = study(OverlapReranker(), folder=tmp_path, depths=(0, 3, 10, 25, 30)).run()
    assert 0 < wider.pairs_scored <= 12 * 2 * 5


def test_queries_scored_together_are_ordered_alike_and_times_are_those_of_the_others(study, tmp_path):
    class Pooling(OverlapReranker):
        calls = 0

        def score_pairs(self, pairs):
            self.calls += 1
            return np.concatenate([self.score(query, [text]) for query, text in pairs])

    pooling = Pooling()
    found = study(pooling, folder=tmp_path, timed=3).run()
    plain = study(OverlapReranker()).run()
    assert pooling.calls == 1
    assert found.orders == plain.orders
    assert found.pairs_scored == plain.pairs_scored
    assert all(np.isfinite(entry.total.p99) for entry in found.settings)
    again = study(Pooling(), folder=tmp_path, timed=3).run()
    assert again.pairs_scored == 0
    assert again.settings[-1].rerank.p50 == pytest.approx(found.settings[-1].rerank.p50, rel=0.01)


def test_what_reranking_costs_and_gains_is_said(result):
    deep = next(entry for entry in result.settings if entry.setting.depth == 25)
    plain = next(e for e in result.settings if e.setting.stage == deep.setting.stage and not e.setting.depth)
    told = reranking_told(result, deep)
    assert f"{plain.quality:.3f}" in told
    assert f"worth {deep.quality - plain.quality:+.3f} (95 % interval" in told
    assert reranking_told(result, plain) == ""


def test_progress_tells_phases_and_ends_at_the_total(study):
    heard = []
    study(OverlapReranker(), dimensions=(16,)).run(progress=lambda *call: heard.append(call))
    assert ("reranking with overlap", 12, 12) in heard
    assert all(done <= total for _, done, total in heard)


def test_the_result_is_json(result):
    values = json.loads(json.dumps(result.to_dict()))
    assert len(values["settings"]) == 16
    assert values["settings"][1]["milliseconds_per_query"]["total"]["p50"] > 0


def test_attribution_adds_up(result):
    attribution = result.attribute(result.settings[3].setting)
    assert sum(attribution.shares().values()) == pytest.approx(1)
    lost = result.lost(attribution)
    assert all(one.document is not None and one.document.id == one.fate.document for one in lost)


def test_the_recommendation_keeps_the_budget_and_can_be_pasted(result):
    budget = sorted(entry.total.p99 for entry in result.settings)[8]
    advice = recommend(result, budget_ms=budget)
    assert advice.result.total.p99 <= budget
    within = [entry for entry in result.settings if entry.total.p99 <= budget]
    assert advice.result.quality == max(entry.quality for entry in within)
    assert eval(advice.code) == advice.config


def test_the_recommendation_reaches_the_floor_at_the_least_time(result):
    floor = sorted(entry.quality for entry in result.settings)[8]
    advice = recommend(result, floor=floor)
    faster = [entry for entry in result.settings if entry.total.p50 < advice.result.total.p50]
    assert advice.result.quality >= floor
    assert all(entry.quality < floor for entry in faster)


def test_without_a_wish_the_loss_against_the_best_may_be_chance(result):
    advice = recommend(result)
    best = max(result.settings, key=lambda entry: entry.quality)
    assert advice.result is best or result.chance_of_gain(advice.result, best).low <= 0


def test_wishes_that_cannot_be_met_are_answered_with_what_comes_nearest(result):
    with pytest.raises(InvalidInputError, match=r"within 1e-06 ms; the fastest is .*raise the budget"):
        recommend(result, budget_ms=1e-6)
    with pytest.raises(InvalidInputError, match=r"no setting reaches nDCG@10 1.1; the best is"):
        recommend(result, floor=1.1)
    with pytest.raises(InvalidInputError, match=r"raise the budget or lower the floor"):
        recommend(result, budget_ms=1e9, floor=1.1)


def test_wrong_grids_are_refused_before_any_work(study):
    with pytest.raises(InvalidInputError, match="depths must be whole numbers from 0"):
        study(OverlapReranker(), depths=(-1,))
    with pytest.raises(InvalidInputError, match="at least one number of dimensions"):
        study(OverlapReranker(), dimensions=())


def test_a_study_that_is_widened_times_what_was_scored_in_a_group(study, tmp_path):
    class Grouped(OverlapReranker):
        def score_pairs(self, pairs):
            return np.concatenate([self.score(query, [text]) for query, text in pairs])

    def times(timed, **options):
        made = study(Grouped(), folder=tmp_path, timed=timed, **options)
        result = made.run()
        return next(entry for entry in result.settings if entry.setting.depth == 10)

    times(1)
    assert times(12).rerank.p50 > 0
    made = TradeoffStudy(
        topical_dataset().sample(3, seed=1),
        depths=DEPTHS,
        rerankers={"overlap": Grouped()},
        config=study(Grouped()).config,
        folder=tmp_path,
        timed=12,
    )
    assert all(entry.rerank.p50 >= 0 for entry in made.run().settings)
