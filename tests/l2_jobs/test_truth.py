"""The judge of the chaos benchmark: what processes say of themselves, and what must never be."""

from benchmarks.jobs_truth import course_of, wrongs

GOOD = """\
10.0 began 1 0 gpu01 100 0,1 none
10.1 began 1 1 gpu02 200 0,1 none
11.0 beat 1 0 gpu01 100
11.5 beat 1 1 gpu02 200
20.0 began 2 0 gpu01 101 0,1 good
20.1 began 2 1 gpu03 300 0,1 good
21.0 ended 2 0 gpu01 101 0
21.0 beat 2 1 gpu0"""


def judged(*texts: str) -> dict[str, int]:
    courses = {f"job{number}": course_of(text) for number, text in enumerate(texts)}
    return {name: len(found) for name, found in wrongs(courses, dict.fromkeys(courses, 2)).items() if found}


def test_attempts_one_after_the_other_are_right() -> None:
    assert judged(GOOD) == {}


def test_an_attempt_that_writes_when_the_next_one_has_begun() -> None:
    assert judged(f"{GOOD}3 300\n20.3 beat 1 1 gpu02 200 \n") == {"overlaps": 1}


def test_a_rank_of_one_attempt_that_runs_twice() -> None:
    assert judged(f"{GOOD}3 300\n20.3 began 2 0 gpu01 102 0,1 good\n") == {"ranks run twice": 1}


def test_a_checkpoint_that_is_gone_on_from_and_is_bad() -> None:
    assert judged(GOOD.replace("300 0,1 good", "300 0,1 bad:rank-1.json")) == {"bad resumes": 1}


def test_an_attempt_of_which_one_rank_never_came() -> None:
    assert judged("1.0 began 1 0 gpu01 100 - none\n2.0 beat 1 0 gpu01 100\n") == {}
    assert judged("1.0 began 1 0 gpu01 100 - none\n22.0 beat 1 0 gpu01 100\n") == {"partial gangs": 1}


def test_a_device_of_two_jobs_at_once() -> None:
    other = "20.5 began 1 0 gpu03 400 1 none\n20.6 began 1 1 gpu04 500 1 none\n"
    assert judged(GOOD.replace("21.0 beat 2 1 gpu0", "21.0 beat 2 1 gpu03 300 \n"), other) == {"devices given twice": 1}
    assert judged(GOOD, other.replace("20.", "30.")) == {}
