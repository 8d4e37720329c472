import gc
import sys

import pytest

from retriever.bulk_loading import bulk_loading


@pytest.fixture(autouse=True)
def _as_it_was():
    gc.unfreeze()
    interval = sys.getswitchinterval()
    yield
    gc.unfreeze()
    sys.setswitchinterval(interval)


def test_what_is_there_is_left_out_while_it_lasts():
    with bulk_loading():
        assert gc.get_freeze_count() > 0
    assert gc.get_freeze_count() == 0


@bulk_loading()
def _load_and_fail():
    assert sys.getswitchinterval() < 0.004
    return 1 / 0


def test_all_is_as_before_after_an_error():
    sys.setswitchinterval(0.004)
    with pytest.raises(ZeroDivisionError):
        _load_and_fail()
    assert sys.getswitchinterval() == pytest.approx(0.004)
    assert gc.get_freeze_count() == 0


def test_of_several_loads_the_last_one_ends_it():
    sys.setswitchinterval(0.004)
    first, second = bulk_loading(), bulk_loading()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert sys.getswitchinterval() < 0.004
    assert gc.get_freeze_count() > 0
    second.__exit__(None, None, None)
    assert sys.getswitchinterval() == pytest.approx(0.004)
    assert gc.get_freeze_count() == 0


def test_what_the_application_froze_stays_frozen():
    gc.freeze()
    with bulk_loading():
        pass
    assert gc.get_freeze_count() > 0


def test_a_shorter_interval_of_the_application_is_kept():
    sys.setswitchinterval(0.0005)
    with bulk_loading():
        assert sys.getswitchinterval() == pytest.approx(0.0005)
