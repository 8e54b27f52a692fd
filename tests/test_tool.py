"""The tool that a language model calls: what it may name, through every shell around it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from colour_films import Colours, make_film
from kframes_langchain import KFramesTool
from kframes_mcp import build_server
from langchain_core.tools import ToolException
from mcp import Client
from video_maker import every, make_video

from kframes_plugin import Clip, KFrames, KFramesError
from kframes_plugin.agents.allowed_paths import AllowedPaths
from kframes_plugin.agents.tool import VideoTool

KF = KFrames(lambda frames, query: [Clip(1, 2)], candidates=8)
WHAT_MAY_BE_NAMED = "Give the path of a video file relative to the tool's directories, for example: "


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """allowed/ with videos and traps, and secret/ beside it with a video that must not be read."""
    root = tmp_path_factory.mktemp("place")
    allowed, secret = root / "allowed", root / "secret"
    (allowed / "deep").mkdir(parents=True)
    secret.mkdir()
    make_video(allowed / "match.mp4", every(100, 40))
    shutil.copy(allowed / "match.mp4", allowed / "deep" / "été 2.mp4")
    shutil.copy(allowed / "match.mp4", secret / "secret.mp4")
    shutil.copy(allowed / "match.mp4", root / "allowed2.mp4")
    (allowed / "link.mp4").symlink_to(secret / "secret.mp4")
    (allowed / "linked").symlink_to(secret)
    (allowed / "inside.mp4").symlink_to(allowed / "match.mp4")
    (allowed / "gone.mp4").symlink_to(allowed / "nothing.mp4")
    (allowed / "list.m3u8").write_text(f"#EXTM3U\n#EXTINF:4,\n{secret / 'secret.mp4'}\n#EXT-X-ENDLIST\n")
    (allowed / "list.mp4").write_text(f"#EXTM3U\n#EXTINF:4,\n{secret / 'secret.mp4'}\n#EXT-X-ENDLIST\n")
    (allowed / "list.ffconcat").write_text(f"ffconcat version 1.0\nfile {secret / 'secret.mp4'}\n")
    os.mkfifo(allowed / "pipe.mp4")
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(allowed / "socket.mp4"))
    unix.close()
    if os.geteuid() == 0:
        (allowed / "null.mp4").symlink_to("/dev/null")
    return root


ESCAPES = {
    "dotdot": "../secret/secret.mp4",
    "dotdot inside": "deep/../../secret/secret.mp4",
    "absolute": "{root}/secret/secret.mp4",
    "absolute through dotdot": "{root}/allowed/../secret/secret.mp4",
    "a name that begins alike": "{root}/allowed2.mp4",
    "symlink to a file": "link.mp4",
    "through a symlink": "linked/secret.mp4",
    "dangling symlink": "gone.mp4",
    "passwd": "/etc/passwd",
    "device": "/dev/zero",
    "stdin": "/dev/stdin",
    "process": "/proc/self/environ",
    "home": "~/secret.mp4",
    "file url": "file://{root}/secret/secret.mp4",
    "file url without slashes": "file:{root}/secret/secret.mp4",
    "metadata service": "http://169.254.169.254/latest/meta-data/",
    "https": "https://example.org/a.mp4",
    "ftp": "ftp://example.org/a.mp4",
    "concat protocol": "concat:match.mp4|{root}/secret/secret.mp4",
    "subfile protocol": "subfile,,start,0,end,0,,:{root}/secret/secret.mp4",
    "data url": "data:video/mp4;base64,AAAA",
    "pipe protocol": "pipe:0",
    "nul": "match.mp4\0.txt",
    "empty": "",
    "directory above": "..",
    "directory beside": "../secret",
    "link to a directory": "linked",
    "long name": "a" * 5000,
    "fifo": "pipe.mp4",
    "socket": "socket.mp4",
    "missing": "nothing.mp4",
}
PLAYLISTS = ["list.m3u8", "list.mp4", "list.ffconcat"]


@pytest.mark.parametrize("name", ESCAPES)
def test_escapes_are_refused_and_the_agent_is_told_what_it_may_do(place, name):
    video = ESCAPES[name].format(root=place)
    tool = KFramesTool(kframes=KF, allowed_paths=[place / "allowed"])
    with pytest.raises(ToolException) as raised:
        tool._run(video, "the goal")
    said = str(raised.value)
    print(said)
    assert said.endswith(WHAT_MAY_BE_NAMED + "inside.mp4, list.mp4, match.mp4, deep/été 2.mp4"), "no trap among them"
    assert str(place) not in said.replace(repr(video), ""), "nothing is told of where files lie"


@pytest.mark.parametrize("name", PLAYLISTS)
def test_playlists_that_name_other_files_are_refused(place, name):
    tool = KFramesTool(kframes=KF, allowed_paths=[place / "allowed"])
    with pytest.raises(ToolException, match=f"^{name}: cannot be opened: it is a playlist that points to other files"):
        tool._run(name, "the goal")


def test_a_refusal_does_not_tell_whether_a_file_exists(place):
    allowed_paths = AllowedPaths([place / "allowed"])
    said = []
    for video in (f"{place}/secret/secret.mp4", f"{place}/secret/absent.mp4", "/etc/shadow", "/etc/absent"):
        with pytest.raises(KFramesError) as raised:
            allowed_paths.resolve(video)
        said.append(str(raised.value).replace(repr(video), "IT"))
    assert len(set(said)) == 1


@pytest.mark.parametrize(
    "name", ["match.mp4", "deep/été 2.mp4", "./deep/../match.mp4", "inside.mp4", "{root}/allowed/match.mp4"]
)
def test_files_under_the_roots_are_read(place, name):
    shown = VideoTool(KF, allowed_paths=[place / "allowed"])(name.format(root=place), "the goal", 2)
    assert len(shown.frames) == 2


def test_several_roots_and_a_root_that_is_a_link(place, tmp_path):
    (tmp_path / "root").symlink_to(place / "allowed" / "deep")
    allowed_paths = AllowedPaths([tmp_path / "root", place / "secret"])
    assert allowed_paths.resolve("été 2.mp4") == str(place / "allowed" / "deep" / "été 2.mp4")
    assert allowed_paths.resolve("secret.mp4") == str(place / "secret" / "secret.mp4")


def test_urls_only_of_hosts_that_were_allowed(place):
    kf = KFrames(KF.selector, video_options={"allow_urls": True})
    allowed_paths = VideoTool(kf, allowed_paths=[place / "allowed"], hosts=["videos.example.org"]).allowed_paths
    assert allowed_paths.resolve("https://videos.example.org/a.mp4") == "https://videos.example.org/a.mp4"
    for url in (
        "https://videos.example.org.evil.net/a.mp4",
        "https://evil.net/videos.example.org/a.mp4",
        "https://videos.example.org@evil.net/a.mp4",
        "ftp://videos.example.org/a.mp4",
        "http://169.254.169.254/",
        "http://[::1]/a.mp4",
    ):
        with pytest.raises(KFramesError, match=r"opens no URLs other than http\(s\) of videos\.example\.org"):
            allowed_paths.resolve(url)
    with pytest.raises(ValueError, match="hosts= needs a KFrames that opens URLs"):
        VideoTool(KF, allowed_paths=[place / "allowed"], hosts=["videos.example.org"])


def test_roots_must_be_directories(place):
    with pytest.raises(ValueError, match="at least one directory whose videos may be read; got none"):
        VideoTool(KF, allowed_paths=[])
    with pytest.raises(ValueError, match=r"match\.mp4 is not one"):
        VideoTool(KF, allowed_paths=[place / "allowed" / "match.mp4"])
    with pytest.raises(ValueError, match="allowed_paths must be a list of directories; got '/videos'"):
        AllowedPaths("/videos")
    with pytest.raises(ValueError, match="max_k must be at least 1; got 0"):
        VideoTool(KF, allowed_paths=[place], max_k=0)


def test_an_empty_root_is_said_to_be_empty(tmp_path):
    with pytest.raises(KFramesError, match="they hold none now"):
        AllowedPaths([tmp_path]).resolve("a.mp4")


# ------------------------------------------------------------------------------------------------------------- MCP


async def test_mcp_serves_the_tool(place):
    async with Client(build_server(kframes=KF, allowed_paths=[place / "allowed"], max_k=4)) as client:
        (tool,) = (await client.list_tools()).tools
        assert (tool.name, set(tool.input_schema["properties"])) == (
            "select_video_frames",
            {"video", "query", "k", "start", "end"},
        )
        assert tool.input_schema["properties"]["k"]["maximum"] == 4
        answer = await client.call_tool("select_video_frames", {"video": "match.mp4", "query": "goal", "k": 3})
        assert not answer.is_error
        assert [block.type for block in answer.content] == ["text"] + ["text", "image"] * 3
        assert len(answer.structured_content["timestamps"]) == 3
        for arguments, said in (
            ({"video": "../secret/secret.mp4", "query": "q"}, WHAT_MAY_BE_NAMED),
            ({"video": "list.m3u8", "query": "q"}, "playlist"),
            ({"video": "match.mp4", "query": "q", "k": 5}, "less than or equal to 4"),
            ({"video": "match.mp4", "query": " "}, "query must not be empty"),
        ):
            answer = await client.call_tool("select_video_frames", arguments)
            assert answer.is_error
            assert said in answer.content[0].text


async def test_kframes_mcp_speaks_over_stdio(place):
    from mcp.client.stdio import StdioServerParameters, stdio_client

    code = "import sys; from kframes_plugin.cli import main; main()"
    server = StdioServerParameters(
        command=sys.executable, args=["-c", code, "mcp", str(place / "allowed"), "--model", "uniform", "--max-k", "5"]
    )
    async with Client(stdio_client(server)) as client:
        answer = await client.call_tool("select_video_frames", {"video": "match.mp4", "query": "goal", "k": 5})
        assert sum(block.type == "image" for block in answer.content) == 5
        answer = await client.call_tool("select_video_frames", {"video": "/etc/passwd", "query": "goal"})
        assert answer.is_error


def kframes(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from kframes_plugin.cli import main; main()", *arguments]
    env = {**os.environ, "COLUMNS": "300"}  # so that messages are not broken into lines
    return subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, env=env)


def test_kframes_mcp_needs_directories(tmp_path):
    done = kframes("mcp", str(tmp_path / "absent"))
    assert done.returncode == 2
    assert "is not a directory" in done.stderr
    assert kframes("mcp").returncode == 2


def test_kframes_mcp_without_its_extra_says_what_to_install(tmp_path):
    code = (
        "import sys; sys.modules['mcp'] = None; sys.argv = ['kframes', 'mcp', '.']\n"
        "from kframes_plugin.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "pip install 'kframes[mcp]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """allowed/ with a red, a green and a blue film, links that lead outside; and secret/ with the reddest one."""
    allowed, secret = tmp_path / "allowed", tmp_path / "secret"
    (allowed / "deep").mkdir(parents=True)
    secret.mkdir()
    make_film(allowed / "one.mp4", ("gray", 6), ("red", 3), ("gray", 6))
    make_film(allowed / "two.mp4", ("green", 5))
    make_film(allowed / "deep" / "three.mp4", ("blue", 4), ("gray", 4))
    make_film(secret / "secret.mp4", ("red", 9))
    (allowed / "link.mp4").symlink_to(secret / "secret.mp4")
    (allowed / "linked").symlink_to(secret)
    (allowed / "broken.mp4").write_bytes(b"no video" * 100)
    return tmp_path


def test_a_folder_gives_the_best_video_with_its_clips_and_frames(library):
    tool = VideoTool(KFrames(Colours()), allowed_paths=[library / "allowed"])
    shown = tool(".", "red", 2)
    lines = shown.table.splitlines()
    assert lines[0] == "3 videos were searched for: red"
    assert lines[1].startswith("Video 1 = one.mp4, clips 0:0")
    assert any(line.startswith("Of one.mp4: 2 frames of a video of 15.0 s") for line in lines)
    assert "cannot be read, so not searched: broken.mp4" in shown.table
    assert len(shown.frames) == 2
    assert shown.artifact["video"] == "one.mp4"
    best = shown.artifact["found"][0]
    assert best["video"] == "one.mp4"
    assert 5 <= best["clips"][0]["start"] < best["clips"][0]["end"] <= 10
    assert {row["video"] for row in shown.artifact["found"]} <= {"one.mp4", "two.mp4", "deep/three.mp4"}
    assert "secret" not in shown.table + json.dumps(shown.artifact)
    assert str(library) not in shown.table + json.dumps(shown.artifact)
    assert tool("deep", "red").artifact["video"] == "deep/three.mp4", "a folder below is searched alone"
    assert [path.name for path in library.rglob(".kframes")] == [".kframes"], "one index, in the allowed directory"


def test_a_folder_of_which_nothing_fits_says_so(library):
    tool = VideoTool(KFrames.from_pretrained("lite"), allowed_paths=[library / "allowed" / "deep"])
    shown = tool(".", "a pizza with tomatoes")
    assert shown.frames == ()
    assert shown.table.splitlines()[1] == "None fits. Try other words, or name a video."
    assert [note["code"] for note in shown.artifact["notes"]] == ["nothing-found"]
    (library / "empty").mkdir()
    with pytest.raises(KFramesError, match="holds no videos"):
        VideoTool(KF, allowed_paths=[library / "empty"])(".", "red")


@pytest.mark.parametrize("folder", ["..", "../secret", "linked", "{root}/secret", "/", "~", "", "file:///"])
def test_no_folder_outside_is_searched(library, folder):
    tool = VideoTool(KFrames(Colours()), allowed_paths=[library / "allowed"])
    with pytest.raises(KFramesError, match=r"is not a file|is not allowed|not a regular file"):
        tool(folder.format(root=library), "red")
    assert not (library / "secret" / ".kframes").exists()


async def test_agents_and_clients_search_a_folder(library):
    kframes = KFrames(Colours())
    content, artifact = KFramesTool(kframes=kframes, allowed_paths=[library / "allowed"])._run(".", "green", 2)
    assert "Video 1 = two.mp4" in content[0]["text"]
    assert [block["type"] for block in content].count("image") == 2
    assert artifact["found"][0]["video"] == "two.mp4"
    async with Client(build_server(kframes=kframes, allowed_paths=[library / "allowed"])) as client:
        answer = await client.call_tool("select_video_frames", {"video": ".", "query": "blue", "k": 2})
    assert not answer.is_error
    assert "Video 1 = deep/three.mp4" in answer.content[0].text
    assert answer.structured_content["found"][0]["video"] == "deep/three.mp4"
