"""The sealed files as views: every question sees its own files, as they are now, and leaves nothing behind."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from shared.engines.files import number, opened
from tests.shared.pilot_data import two_arms

SPENT = "SELECT CAST(sum(spend) AS BIGINT) FROM outcomes"


def test_questions_at_the_same_time_see_their_own_files_and_tables(tmp_path):
    one, other = two_arms(tmp_path / "one", [1.0], [2.0]), two_arms(tmp_path / "other", [30.0], [40.0])
    with opened(one) as first, opened(other) as second:
        for connection in (first, second):
            connection.execute(f"CREATE TEMP TABLE kept AS {SPENT}")
        assert [number(each, "FROM kept") for each in (first, second, first)] == [3, 70, 3]


def test_many_threads_see_their_own_files(tmp_path):
    pilots = [two_arms(tmp_path / str(value), [float(value)], [0.0]) for value in range(1, 9)]

    def spent(data):
        with opened(data) as connection:
            return [number(connection, SPENT) for _ in range(5)]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(spent, pilots)) == [[value] * 5 for value in range(1, 9)]


def test_nothing_of_a_question_is_there_for_the_next_one(tmp_path):
    data = two_arms(tmp_path, [1.0], [2.0])
    with opened(data) as connection:
        connection.execute("CREATE TEMP TABLE kept AS SELECT 1")
    with opened(data) as connection:
        tables = connection.execute("SELECT table_name FROM information_schema.tables ORDER BY ALL").fetchall()
    assert tables == [("conflicts",), ("exposures",), ("outcomes",)]


def test_a_file_that_was_changed_under_its_old_time_is_read_anew(tmp_path):
    data, changed = two_arms(tmp_path / "one", [1.3], [1.7]), two_arms(tmp_path / "other", [3.3], [3.7])
    with opened(data) as connection:
        assert number(connection, SPENT) == 3
    old = data.outcomes.stat()
    data.outcomes.write_bytes(changed.outcomes.read_bytes())
    os.utime(data.outcomes, ns=(old.st_atime_ns, old.st_mtime_ns))
    assert data.outcomes.stat().st_size == old.st_size
    with opened(data) as connection:
        assert number(connection, SPENT) == 7
