"""One video, several processes and threads: each gives the frames of one process alone, and none hangs."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import random
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from bulk_selectors import third
from PIL import Image
from video_maker import every, make_video, read_number

from kframes_plugin import Frame, KFrames, OpenVideo, VideoError
from kframes_plugin.cancellation import Cancelled, cancellable

READS = 60
LENGTH = 300  # frames, of 40 ms


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("films") / "film.mp4"
    make_video(path, every(40, LENGTH), gop=25, options={"bf": "2"})
    return path


def read(video: OpenVideo, seed: int, count: int = READS) -> list[tuple[int, int]]:
    """(frame asked for, frame shown) of random and dense requests; dense ones use frame threads."""
    dice, found = random.Random(seed), []
    while len(found) < count:
        first = dice.randrange(LENGTH - 30)
        asked = list(range(first, first + 20)) if dice.random() < 0.3 else [dice.randrange(LENGTH)]
        frames = video.frames_at([number * 0.04 + 0.01 for number in asked])
        found += [(number, read_number(frame.image)) for number, frame in zip(asked, frames, strict=True)]
    return found


def work(video: Any, seed: int, answers: Any) -> None:
    answers.put(read(video.video if hasattr(video, "video") else video, seed))


def gather(context: Any, video: Any, count: int) -> list[list[tuple[int, int]]]:
    answers = context.Queue()
    workers = [context.Process(target=work, args=(video, seed, answers), daemon=True) for seed in range(count)]
    for worker in workers:
        worker.start()
    found = [answers.get(timeout=120) for _ in workers]
    for worker in workers:
        worker.join(timeout=60)
        assert worker.exitcode == 0
    return found


def all_right(found: Sequence[Sequence[tuple[int, int]]]) -> bool:
    return all(asked == shown for one in found for asked, shown in one)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("what", ["video", "session"])
def test_children_read_what_was_opened_before_them(film: Path, method: str, what: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"{method} is not known here")
    opened = OpenVideo(film, kept_bytes=0) if what == "video" else KFrames(third, candidates=8).open(film)
    with opened as video:
        inner = video if isinstance(video, OpenVideo) else video.video
        read(inner, 99)  # its decoders, with frame threads, exist before the fork
        found = gather(multiprocessing.get_context(method), video, 2)
        assert all_right(found)
        assert all_right([read(inner, 100)]), "and the parent goes on undisturbed"


def test_a_child_may_close_and_forget_what_its_parent_opened(film: Path) -> None:
    """Freeing a decoder joins threads that a forked process does not have."""

    def forget(video: list[OpenVideo], answers: Any) -> None:
        video[0].close()
        video.clear()
        answers.put("alive")

    context = multiprocessing.get_context("fork")
    with OpenVideo(film) as video:
        read(video, 1)
        answers = context.Queue()
        child = context.Process(target=forget, args=([video], answers), daemon=True)
        child.start()
        assert answers.get(timeout=30) == "alive"
        child.join(timeout=30)
        assert child.exitcode == 0
        assert all_right([read(video, 2)])


def test_a_fork_while_another_thread_reads(film: Path) -> None:
    """The child has the lock that the thread held, but not the thread."""
    with OpenVideo(film, kept_bytes=0) as video:
        stop = threading.Event()

        def keep_reading() -> None:
            while not stop.is_set():
                read(video, 3, 10)

        reader = threading.Thread(target=keep_reading)
        reader.start()
        try:
            for _ in range(3):
                assert all_right(gather(multiprocessing.get_context("fork"), video, 1))
        finally:
            stop.set()
            reader.join()


def test_threads_share_one_session(film: Path) -> None:
    kframes = KFrames(third, candidates=8)
    alone = {str(n): kframes.select(film, str(n), 4) for n in range(8)}
    with kframes.open(film) as session, ThreadPoolExecutor(8) as pool:
        asked = [str(n % 8) for n in range(120)]
        found = list(pool.map(lambda query: session.select(query, 4), asked))
        right = pool.map(lambda seed: all_right([read(session.video, seed, 20)]), range(8))
        assert all(right)
    assert [selection.query for selection in found] == asked
    assert all(selection == alone[selection.query] for selection in found)
    assert sum(selection.cost.seconds.get("candidates", 0) > 0 for selection in found) == 1


def test_given_frames_can_be_pickled() -> None:
    frames = [Frame(float(n), 1.0, Image.new("RGB", (8, 8), (n, 0, 0))) for n in range(5)]
    copy = pickle.loads(pickle.dumps(OpenVideo.from_frames(frames)))
    assert copy.timestamps.tolist() == [0, 1, 2, 3, 4]
    assert copy.frames_at([3.0])[0].image.getpixel((0, 0)) == (3, 0, 0)


# ---- kept sessions


def test_a_kept_video_is_opened_once_and_anew_when_it_changes(film: Path, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(film.read_bytes())
    kframes = KFrames(third, candidates=8)
    first, second = kframes.kept.select(path, "1", 4), kframes.kept.select(path, "2", 4)
    assert "candidates" in first.cost.seconds
    assert "candidates" not in second.cost.seconds
    assert second == kframes.select(path, "2", 4)
    make_video(path, every(40, 50))
    assert kframes.kept.select(path, "1", 4).duration == 2.0
    kframes.kept.close()


def test_kept_videos_are_bounded_by_count_and_bytes(film: Path, tmp_path: Path) -> None:
    from kframes_plugin.kept_sessions import KeptSessions

    paths = [tmp_path / f"{n}.mp4" for n in range(5)]
    for path in paths:
        path.write_bytes(film.read_bytes())
    kframes = KFrames(third, candidates=8)
    few, small = KeptSessions(kframes, most_videos=2), KeptSessions(kframes, most_bytes=1)
    for path in paths:
        few.select(path, "1", 2)
        small.select(path, "1", 2)
    assert (len(few), len(small)) == (2, 1)
    again = few.select(paths[-1], "2", 2)
    assert "candidates" not in again.cost.seconds
    for kept in (few, small):
        kept.close()
        assert len(kept) == 0


def test_a_question_that_fails_leaves_the_video_open(film: Path, tmp_path: Path) -> None:
    kept = KFrames(third, candidates=8).kept
    kept.select(film, "1", 2)
    with pytest.raises(ValueError, match="k must be"):
        kept.select(film, "1", 0)
    assert "candidates" not in kept.select(film, "2", 2).cost.seconds
    with pytest.raises(VideoError, match="does not exist"):
        kept.select(tmp_path / "none.mp4", "1", 2)
    kept.close()


def test_a_kframes_with_kept_videos_can_be_pickled(film: Path) -> None:
    kframes = KFrames(third, candidates=8)
    kframes.kept.select(film, "1", 2)
    copy = pickle.loads(pickle.dumps(kframes))
    assert len(copy.kept) == 0
    assert copy.select(film, "1", 2) == kframes.select(film, "1", 2)
    kframes.kept.close()


def decoders_at_work() -> int:
    return sum(thread.name.startswith("kframes-decoder") for thread in threading.enumerate())


@pytest.fixture(scope="module")
def many_groups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = {"bf": "2", "sc_threshold": "0"}  # no other I-frames, so that every group is a run of its own
    return make_video(tmp_path_factory.mktemp("groups") / "film.mp4", every(40, 840), gop=14, options=options)


INSIDE = [group * 0.56 + 0.12 for group in range(60)]  # the fourth frame of each group


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core decodes one group of pictures after the other")
def test_groups_of_pictures_side_by_side_give_the_frames_of_one_after_the_other(many_groups: Path) -> None:
    at_work: list[int] = []
    with OpenVideo(many_groups, kept_bytes=0) as video:
        before = video.frames_decoded
        frames = video.frames_at(INSIDE, progress=lambda done, total: at_work.append(decoders_at_work()))
        together = video.frames_decoded - before
        alone = [video.frames_at([time])[0] for time in INSIDE]
        assert video.frames_decoded - before - together == together > 100
    assert max(at_work) > 1
    assert decoders_at_work() == 0
    assert [read_number(frame.image) for frame in frames] == [group * 14 + 3 for group in range(60)]
    assert [frame.image.tobytes() for frame in frames] == [frame.image.tobytes() for frame in alone]


def test_who_stops_half_way_leaves_no_decoder_at_work(many_groups: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with OpenVideo(many_groups) as video:
        with pytest.raises(KeyboardInterrupt):
            video.frames_at(INSIDE, progress=stop)
        assert decoders_at_work() == 0
        assert all_right([read(video, 1)])


def test_decoders_side_by_side_stop_when_nobody_waits(many_groups: Path) -> None:
    with OpenVideo(many_groups) as video:
        before = video.frames_decoded
        with cancellable():
            left = copy_context()
        with pytest.raises(Cancelled):
            left.run(video.frames_at, INSIDE)
        assert video.frames_decoded - before == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_child_decodes_side_by_side_what_its_parent_does(many_groups: Path) -> None:
    with OpenVideo(many_groups, kept_bytes=0) as video:
        video.frames_at(INSIDE)
        context = multiprocessing.get_context("fork")
        shown = context.SimpleQueue()
        child = context.Process(target=lambda: shown.put([read_number(f.image) for f in video.frames_at(INSIDE)]))
        child.start()
        child.join(timeout=60)
        assert child.exitcode == 0
        assert shown.get() == [group * 14 + 3 for group in range(60)]
