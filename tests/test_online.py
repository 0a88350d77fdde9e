"""experiments.systems.online: nothing from the future, and a model that stays compressed."""

import json
from dataclasses import replace

import numpy as np
import pytest
from later import Later

import tfcompress as tfc
from experiments.data.timed import Timed
from experiments.models import store, tf
from experiments.models.mobile import MobileConfig
from experiments.systems import online, online_table
from experiments.systems.stream import Period, Stream, drawn, periods
from experiments.systems.updating import Held, Shape, pruned, shipped, some_places
from experiments.training import Stopped, TrainingConfig
from tfcompress.report import text_of

N_ITEMS, N_USERS, DAY = 120, 40, 86400
BRIEF = TrainingConfig(seed=0, batch=16, epochs=4, peak_learning_rate=5e-3, warmup_steps=2)
SETTINGS = replace(
    online.SETTINGS,
    start="1970-01-07",
    days=1,
    weeks=2,
    sizes={"length": 6, "dim": 16, "heads": 2, "feedforward": (16, 16), "dropout": 0.1},
    learning=BRIEF,
    compressing=BRIEF,
    updating=replace(BRIEF, epochs=12, peak_learning_rate=1e-2),
    positions=64,
    retrained=(1,),
    tested=90,
)


def some_events():
    """Users who see four items a day, once each; from the seventh day on, others than before."""
    random = np.random.default_rng(0)
    rows = []
    for user in range(N_USERS):
        old, new = random.permutation(60), 60 + random.permutation(16)
        items = np.concatenate([old[:24], new[:12]]) + 1
        times = np.arange(36) * DAY // 4 + random.integers(DAY // 5)
        rows += zip(times.tolist(), [user] * 36, items.tolist(), strict=True)
    times, users, items = map(np.array, zip(*sorted(rows), strict=True))
    titles = ("", *(f"item {number}" for number in range(1, N_ITEMS + 1)))
    return Timed(titles, users.astype(np.int32), items.astype(np.int32), times)


DATA = some_events()
STREAM = Stream(DATA)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("online")


@pytest.fixture(scope="module")
def found(work):
    """A run that is stopped, and goes on."""
    with pytest.raises(Stopped):
        online.recorded(DATA, SETTINGS, 3, work, Later(5))
    return online.recorded(DATA, SETTINGS, 3, work, lambda: False)


def test_updates_keep_zeros_and_grid(found):
    updates = [week["update"] for week in found["weeks"] if "update" in week]
    assert len(updates) == 1
    for update in updates:
        assert update["filled"] == 0
        assert update["off_grid"] < 1e-3
        assert 0 < update["changed"] < 1
    assert len({update["bytes"] for update in updates} | {found["bytes"]["file"]}) == 1


def test_what_is_learnt_of_a_week_helps_in_the_next(found):
    first, second = (week["quality"] for week in found["weeks"])
    assert first["updated"] == first["never"]  # no week is learnt before it is foretold
    assert second["updated"]["ndcg@10"] > second["never"]["ndcg@10"] + 0.1
    assert second["from_scratch"]["ndcg@10"] > second["never"]["ndcg@10"]
    low, _ = found["beside_never"]["interval"]
    assert low > 0


def test_the_record_says_what_was_measured(found):
    assert json.dumps(found)
    asked = [week["tested"] for week in found["weeks"]]
    assert asked == [90] * 2 and [week["events"] for week in found["weeks"]] == [160] * 2
    means = [week["quality"]["updated"]["ndcg@10"] for week in found["weeks"]]
    assert found["quality"] == pytest.approx(np.mean(means))
    cost = found["cost"]
    assert cost["ratio"] == pytest.approx(cost["from_scratch_seconds"] / cost["update_seconds"])
    assert found["seconds"]["training"] > sum(week["update"]["seconds"]["updating"]
                                              for week in found["weeks"] if "update" in week)  # fmt: skip
    assert found["seconds"]["this_run"] > 0
    assert 0 < found["size_reduction"] < 1 and found["data"]["synthetic"] is False
    whole, part = found["bytes"]["teacher"], found["bytes"]["file"]
    assert found["size_reduction"] == pytest.approx(1 - part / whole)


def test_table_and_picture(found, tmp_path):
    text = text_of(online_table.table(found))
    for week in found["weeks"]:
        assert week["start"] in text and f"{week['quality']['updated']['ndcg@10']:.4f}" in text
    online_table.draw(found, tmp_path / "weeks.png")
    assert (tmp_path / "weeks.png").read_bytes().startswith(b"\x89PNG")


def test_weeks_of_more_than_one_seed_are_refused(tmp_path):
    with pytest.raises(ValueError, match="expected one"):
        online.record(None, [0, 1], tmp_path)


@pytest.mark.parametrize(("first", "last"), [(0, 700), (700, 900), (900, len(DATA.times))])
def test_lessons_want_each_event_of_their_part_once_and_know_no_later_one(first, last):
    rows = STREAM.lessons(first, last, 6)
    histories, wanted = np.split(rows, 2, axis=1)
    assert sorted(wanted[wanted != 0]) == sorted(DATA.items[first:last])
    by_user = [DATA.items[DATA.users == user].tolist() for user in range(N_USERS)]
    pairs = {pair for items in by_user for pair in zip([0, *items], items, strict=False)}
    found = {
        (int(before), int(item))
        for before, item in zip(histories.ravel(), wanted.ravel(), strict=True)
        if item != 0
    }
    assert found <= pairs and any(before == 0 for before, _ in found) == (first == 0)


def test_a_case_knows_what_its_user_did_before_it():
    period = Period("", 500, 560)
    cases = STREAM.cases(period, 6, 1000, 0)
    assert cases.targets.tolist() == DATA.items[500:560].tolist()
    for place in range(60):
        before = DATA.items[: 500 + place][DATA.users[: 500 + place] == cases.users[place]]
        assert cases.seen[place].tolist() == before.tolist()
        row = cases.histories[place]
        assert row[row != 0].tolist() == before[-6:].tolist()


def test_cases_are_drawn_from_a_large_period_alike():
    one, other = (STREAM.cases(Period("", 0, 900), 6, 50, 4) for _ in range(2))
    assert len(one.targets) == 50
    np.testing.assert_array_equal(one.histories, other.histories)


def test_periods_without_events_are_refused():
    with pytest.raises(ValueError, match="expected some in each"):
        periods(DATA.times, "1970-01-07", 1, 9)


def test_drawn_rows_are_each_there_once():
    rows = drawn(np.arange(20, dtype=np.int32).reshape(10, 2), 7, [0])
    assert len(rows) == 7 and len({tuple(row) for row in rows}) == 7


def test_places_are_those_where_something_is_wanted():
    wanted = tf.constant([[0, 3, 0, 5], [0, 0, 0, 7]])
    assert sorted(some_places(wanted, 3).numpy()) == [1, 3, 7]
    assert len(some_places(wanted, 100)) == 8
    many = tf.ones([4, 50], tf.int32)
    assert len(set(some_places(many, 60).numpy())) == 60


@pytest.fixture
def student():
    tf.keras.utils.set_random_seed(0)
    network = store.build(MobileConfig(N_ITEMS, length=6, dim=16, heads=2, feedforward=(16, 16)))
    spec = Held(0.5, 4, 2.4, 8, 4.0).spec(network)
    return tfc.apply(network, spec), spec


def test_every_matrix_is_held(student):
    model, spec = student
    shape, matrices = Shape.of(model, spec), shipped(model)
    assert matrices.keys() == shape.steps.keys() and "position_table" in matrices
    assert shape.zeros.keys() == matrices.keys() - {"item_table", "position_table"}
    for path, matrix in matrices.items():
        most = 127 if path == "position_table" else 7
        levels = matrix / shape.steps[path]
        assert np.abs(levels).max() <= most + 1e-3 and np.abs(levels).max() > 2
    assert all(zero.mean() == pytest.approx(0.5, abs=0.02) for zero in pruned(model).values())


def test_what_is_not_kept_is_counted(student):
    shape, before = Shape.of(*student), shipped(student[0])
    nothing = shape.moved(before, before)
    assert nothing["changed"] == 0.0 and nothing["filled"] == 0 and nothing["off_grid"] < 1e-3
    path = "reading.ff1"
    place = tuple(np.argwhere(shape.zeros[path])[0])
    after = {**before, path: before[path].copy()}
    after[path][place] = 2.25 * shape.steps[path]
    found = shape.moved(before, after)
    assert found["filled"] == 1 and found["off_grid"] == pytest.approx(0.25, abs=1e-3)
    assert found["changed"] == pytest.approx(1 / sum(one.size for one in before.values()))
