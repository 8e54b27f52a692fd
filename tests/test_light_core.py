"""The core runs where torch and its kin are not installed, and names the extra where they are needed."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from drawn_film import SAMPLE

ROOT = Path(__file__).parents[1]
HEAVY = (
    "torch",
    "torchvision",
    "transformers",
    "accelerate",
    "peft",
    "open_clip",
    "safetensors",
    "decord",
    "trl",
    "datasets",
    "scipy",
    "skimage",
)

# A finder before all others refuses the packages as if they were not installed.
BARE = f"""
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {HEAVY}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Refuse())
sample = {str(SAMPLE)!r}
"""
NEEDS = """
from kframes_plugin import KFrames, KFramesError
try:
    {code}
except KFramesError as error:
    print(type(error).__name__, error)
"""


def bare(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", BARE + code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("model", ["uniform", "scenes"])
def test_selecting_saving_and_reporting(model: str, tmp_path: Path) -> None:
    code = """
from kframes_plugin import KFrames, Selection
selection = KFrames.from_pretrained(sys.argv[1]).select(sample, "a ring", 8)
selection.save(sys.argv[2])
selection.to_html(sys.argv[2] + "/report.html")
print(len(Selection.load(sys.argv[2]).frames), len(selection.to_messages("what?")))
"""
    assert bare(code, model, str(tmp_path)).startswith("8 ")
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_the_command_line(tmp_path: Path) -> None:
    code = "from kframes_plugin.cli import main\nsys.argv[0] = 'kframes'\nmain()"
    assert json.loads(bare(code, "probe", str(SAMPLE), "--json"))["frames"] == 981
    found = json.loads(bare(code, "select", str(SAMPLE), "a ring", "-k", "3", "--model", "scenes", "--json"))
    assert len(found["frames"]) == 3


@pytest.mark.parametrize("model", ["uniform", "scenes", "lite"])
def test_a_first_call_imports_no_more_than_it_needs(model: str, tmp_path: Path) -> None:
    """Where torch and its kin are installed too."""
    code = f"""
import json, sys
from kframes_plugin.cli import main
sys.argv = ["kframes", "select", {str(SAMPLE)!r}, "a ring", "--model", {model!r}, "--candidates", "8"]
sys.argv += ["--out", {str(tmp_path)!r}]
try:
    main()
except SystemExit as done:
    assert not done.code
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    readers = {"onnxruntime", "tokenizers"}
    assert loaded & readers == (readers if model == "lite" else set())
    assert not loaded & {*HEAVY, "matplotlib", "httpx", "sqlite3", "pysubs2", "multiprocessing"} - readers


def test_models_without_the_package_of_the_hub() -> None:
    code = """
class NoHub(Refuse):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "huggingface_hub":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoHub())
from kframes_plugin import KFrames
from kframes_plugin.cli import main
print(KFrames.from_pretrained("auto").selector.name)
sys.argv[0] = "kframes"
main()
"""
    first, _, table = bare(code, "models", "--json").partition("\n")
    found = json.loads(table)
    assert (first, found["auto"]) == ("lite", "lite")
    assert {row["state"] for row in found["models"]} >= {"bundled"}


def test_reading_an_answer() -> None:
    code = """
from kframes_plugin.prompt import parse_clips
print(list(parse_clips('[{"start": 2, "end": 4, "priority": "P1", "reason": "here"}]', 10.0)))
"""
    assert "start=2.0" in bare(code)


class Answers(BaseHTTPRequestHandler):
    """An OpenAI-compatible server that always writes the same clip."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        content = json.dumps({"clips": [{"start": 40, "end": 60, "priority": "P1", "reason": "a ring"}]})
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
        body = json.dumps({"id": "1", "object": "chat.completion", "model": "m", "choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def test_a_server_selects() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        code = """
from kframes_plugin import KFrames
kframes = KFrames.from_pretrained(sys.argv[1], candidates=16, snap_to_cuts=False)
selection = kframes.select(sample, "a ring", 4)
print(selection.clips[0].reason, len(selection.frames))
"""
        assert bare(code, f"http://127.0.0.1:{server.server_port}/v1#m") == "a ring 4\n"
        server.shutdown()


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("langchain_core", "from kframes_langchain import KFramesLoader, KFramesTool; print(KFramesTool.__name__)"),
        ("llama_index", "from kframes_llama_index import KFramesReader; print(KFramesReader.__name__)"),
        ("mcp", "from kframes_mcp import build_server; print(build_server.__name__)"),
    ],
)
def test_integrations_import(host: str, code: str) -> None:
    pytest.importorskip(host)
    assert bare(code).strip() in ("KFramesTool", "KFramesReader", "build_server")


def test_the_tool_answers() -> None:
    code = """
from pathlib import Path
from kframes_plugin import KFrames
from kframes_plugin.agents.tool import VideoTool
shown = VideoTool(KFrames.from_pretrained("scenes"), allowed_paths=[Path(sample).parent])(sample, "a ring", 3)
print(len(shown.frames), len(shown.artifact["timestamps"]))
"""
    assert bare(code) == "3 3\n"


@pytest.mark.parametrize(
    ("code", "what", "extra"),
    [
        ("KFrames.from_pretrained('openclip:ViT-B-32/x')", "the open_clip model 'ViT-B-32/x' needs torch", "torch"),
        ("KFrames.from_pretrained('some/model')", "the model 'some/model' needs torch", "torch"),
    ],
)
def test_what_is_missing_is_said_in_one_line(code: str, what: str, extra: str) -> None:
    lines = bare(NEEDS.format(code=code)).splitlines()
    assert lines == [f'SelectorError {what}, which is not installed: pip install "kframes[{extra}]"']


def test_a_missing_decoder_names_its_extra() -> None:
    code = """from kframes_plugin import OpenVideo
    with OpenVideo(sample, decoder="decord") as video: video.frames_at([1.0])"""
    (line,) = bare(NEEDS.format(code=code)).splitlines()
    assert line.startswith('VideoError decoder "decord" is not installed')
    assert 'pip install "kframes[decord]"' in line


def test_the_core_asks_for_nothing_heavy() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {dependency.replace("_", "-").split(">")[0] for dependency in project["dependencies"]}
    assert not names & {"torch", "torchvision", "transformers", "accelerate", "peft", "open-clip-torch", "decord"}
    assert {"torch", "decord", "train", "langchain", "llama-index", "mcp"} <= set(project["optional-dependencies"])
