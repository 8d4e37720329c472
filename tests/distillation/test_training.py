import json

import numpy as np
import pytest

from distillation.tables import token_rows
from distillation.training import TeacherVectors, TrainingConfig, learning_rate, train
from retriever.errors import InvalidInputError
from tests.distillation.factories import encoder, pairs

CONFIG_LONG = TrainingConfig(steps=100, batch_size=64, learning_rate=0.1, smallest_width=8)
CONFIG = TrainingConfig(steps=12, batch_size=32, learning_rate=0.05, check_every=4, smallest_width=8)


def teacher_of(made, dimensions=12):
    """A teacher that knows the words: random vectors of words, averaged."""
    word = {}
    generator = np.random.default_rng(1)

    def vectors(texts):
        rows = [
            np.mean([word.setdefault(w, generator.standard_normal(dimensions)) for w in t.split()], axis=0)
            for t in texts
        ]
        return np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float16)

    return TeacherVectors(vectors([p.query for p in made]), vectors([p.positive for p in made]))


def accuracy(model, made):
    """Share of queries whose own passage comes first."""
    scores = model.encode([p.query for p in made]) @ model.encode([p.positive for p in made]).T
    return float((scores.argmax(axis=1) == np.arange(len(made))).mean())


def test_training_finds_more_than_before_at_every_width():
    made = pairs(300)
    start = encoder()
    trained = train(start, made, config=CONFIG_LONG)
    for width in (8, 16):
        assert accuracy(trained.truncate(width), made) > accuracy(start.truncate(width), made) + 0.1


def test_the_table_follows_its_teacher():
    made = pairs(300)
    teacher = teacher_of(made)
    wanted = teacher.queries.astype(np.float32) @ teacher.passages.astype(np.float32).T

    def agreement(model):
        given = model.encode([p.query for p in made]) @ model.encode([p.positive for p in made]).T
        return np.corrcoef(given.ravel(), wanted.ravel())[0, 1]

    config = TrainingConfig(steps=60, batch_size=64, learning_rate=0.1, teacher_weight=1.0, temperature=0.1)
    start = encoder()
    assert agreement(train(start, made, teachers=[teacher], config=config)) > agreement(start) + 0.2


def test_a_killed_run_goes_on_to_the_same_result(tmp_path):
    made = pairs(200)
    teacher = teacher_of(made)
    whole = train(encoder(), made, teachers=[teacher], config=CONFIG)

    class Killed(Exception):
        pass

    def kill(step, steps, losses):
        if step == 7:
            raise Killed

    def run(**options):
        return train(
            encoder(),
            made,
            teachers=[teacher],
            config=CONFIG,
            checkpoint=tmp_path / "run",
            log=tmp_path / "log.jsonl",
            **options,
        )

    with pytest.raises(Killed):
        run(progress=kill)
    resumed = run()
    np.testing.assert_array_equal(token_rows(whole), token_rows(resumed))
    steps = [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 13))


def test_the_log_holds_losses_and_dev_scores(tmp_path):
    log = tmp_path / "log.jsonl"
    train(encoder(), pairs(100), config=CONFIG, log=log, dev=lambda model: model.dimensions)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert all(line["ranking"] > 0 and line["seconds"] > 0 for line in lines)
    assert [line["step"] for line in lines if "dev" in line] == [4, 8, 12]


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    train(encoder(), pairs(100), config=CONFIG, checkpoint=tmp_path)
    with pytest.raises(InvalidInputError, match=r"other settings \(texts\)"):
        train(encoder(), pairs(100, seed=1), config=CONFIG, checkpoint=tmp_path)


def test_topics_and_mined_negatives_are_used():
    made = pairs(200)
    negatives = np.stack([np.roll(np.arange(200), 1), np.full(200, -1)], axis=1)
    config = TrainingConfig(steps=6, batch_size=32, topic_count=4, topics_per_batch=2, margin_weight=1.0)
    losses = []
    train(
        encoder(),
        made,
        teachers=[teacher_of(made)],
        negatives=negatives,
        config=config,
        progress=lambda step, steps, values: losses.append(values),
    )
    assert all(set(values) == {"ranking", "margin"} for values in losses)


def test_same_seed_same_table():
    one, two = (train(encoder(), pairs(100), config=CONFIG) for _ in range(2))
    np.testing.assert_array_equal(token_rows(one), token_rows(two))


def test_a_checkpoint_of_another_teacher_is_refused(tmp_path):
    made = pairs(60)
    first = teacher_of(made)
    other = TeacherVectors(first.passages, first.queries)
    train(encoder(), made, teachers=[first], config=CONFIG, checkpoint=tmp_path)
    for changed, name in (
        ({"teachers": [other]}, "teachers"),
        ({"teachers": [first], "negatives": np.zeros((60, 1), np.int64)}, "negatives"),
    ):
        with pytest.raises(InvalidInputError, match=rf"other settings \({name}\)"):
            train(encoder(), made, config=CONFIG, checkpoint=tmp_path, **changed)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"config": TrainingConfig(topic_count=4)}, "topics are made of a teacher's vectors"),
        ({"teachers": [TeacherVectors(np.ones((3, 2)), np.ones((3, 2)))]}, "one a pair"),
        ({"negatives": np.zeros((3, 1), dtype=np.int64)}, "one row a pair"),
    ],
)
def test_what_does_not_fit_is_named(options, message):
    with pytest.raises(InvalidInputError, match=message):
        train(encoder(), pairs(10), **options)


def test_too_few_pairs_are_named():
    with pytest.raises(InvalidInputError, match="at least 2 pairs"):
        train(encoder(), pairs(1))


def test_the_learning_rate_rises_and_falls():
    config = TrainingConfig(steps=100, warmup=0.1)
    rates = [learning_rate(step, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1)
    assert rates[-1] < 0.02


@pytest.mark.parametrize(
    "changed",
    [
        {"steps": 0}, {"steps": -5}, {"batch_size": 0}, {"check_every": 0}, {"topic_count": 0},
        {"topics_per_batch": 0}, {"smallest_width": 0}, {"max_length": 0}, {"seed": -1},
        {"learning_rate": -1.0}, {"learning_rate": float("nan")}, {"weight_learning_rate": -0.1},
        {"temperature": 0.0}, {"teacher_temperature": float("inf")}, {"hybrid_temperature": 0.0},
        {"teacher_weight": 7.0}, {"warmup": -0.1}, {"margin_weight": -1.0}, {"hybrid_weight": float("nan")},
    ],
)  # fmt: skip
def test_settings_are_checked(changed):
    with pytest.raises(InvalidInputError, match=f"{next(iter(changed))} must be"):
        TrainingConfig(**changed)


def test_teachers_that_cannot_teach_are_named():
    good = np.ones((10, 2), np.float32)
    bad = good.copy()
    bad[3, 1] = np.nan
    for teacher, message in (
        (TeacherVectors(good, good, weight=0.0), "sum to 0"),
        (TeacherVectors(good, good, weight=-1.0), "weight of a teacher must be"),
        (TeacherVectors(good, good, weight=float("nan")), "weight of a teacher must be"),
        (TeacherVectors(good, bad), "passages hold values that are not finite, first in row 3"),
        (TeacherVectors(bad, good), "queries hold values that are not finite"),
        (TeacherVectors(good, good[:, :1]), "equally long"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            train(encoder(), pairs(10), teachers=[teacher])


def test_more_topics_than_pairs_are_refused():
    made = pairs(10)
    with pytest.raises(InvalidInputError, match="give fewer topics"):
        train(encoder(), made, teachers=[teacher_of(made)], config=TrainingConfig(topic_count=11))


def test_a_line_of_the_log_that_a_kill_tore_is_dropped(tmp_path):
    made, log = pairs(60), tmp_path / "log.jsonl"

    def stop(step, steps, losses):
        if step == 7:
            raise KeyboardInterrupt

    options = {"config": CONFIG, "checkpoint": tmp_path, "log": log}
    with pytest.raises(KeyboardInterrupt):
        train(encoder(), made, progress=stop, **options)
    log.write_text(log.read_text()[:-9])
    train(encoder(), made, **options)
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines()]
    assert steps == [1, 2, 3, 4, *range(5, 13)]
