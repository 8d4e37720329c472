import threading
import time

from retriever.read_write_lock import ReadWriteLock


def test_readers_share_and_a_writer_is_alone():
    lock = ReadWriteLock()
    inside, most_readers, mixed = [0, 0], [0], []
    guard = threading.Lock()

    def enter(kind, change):
        with guard:
            inside[kind] += change
            most_readers[0] = max(most_readers[0], inside[0])
            if inside[1] > 1 or (inside[1] and inside[0]):
                mixed.append(tuple(inside))

    def work(kind):
        for _ in range(20):
            with lock.reading() if kind == 0 else lock.writing():
                enter(kind, 1)
                time.sleep(0.0005)
                enter(kind, -1)

    threads = [threading.Thread(target=work, args=(kind,)) for kind in (0, 0, 0, 0, 1, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert not any(thread.is_alive() for thread in threads)
    assert not mixed
    assert most_readers[0] > 1


def test_a_waiting_writer_goes_before_new_readers():
    lock = ReadWriteLock()
    order = []

    def write():
        with lock.writing():
            order.append("writer")

    def read():
        with lock.reading():
            order.append("reader")

    with lock.reading():
        writer = threading.Thread(target=write)
        writer.start()
        while not lock._waiting:
            time.sleep(0.001)
        reader = threading.Thread(target=read)
        reader.start()
        time.sleep(0.02)
        assert order == []
    writer.join(5)
    reader.join(5)
    assert order == ["writer", "reader"]


def test_an_error_inside_gives_the_lock_back():
    lock = ReadWriteLock()
    for hold in (lock.reading, lock.writing):
        try:
            with hold():
                raise KeyError
        except KeyError:
            pass
    with lock.writing():
        pass
