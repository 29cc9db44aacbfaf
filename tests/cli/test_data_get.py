import hashlib
import io
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.data.download import DOWNLOADS, Download


@pytest.fixture
def archive():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("toy/ratings.csv", "a,b,5\n")
    return buffer.getvalue()


@pytest.fixture
def server(monkeypatch, archive, tmp_path):
    """A mirror of a data set "ml-toy"; `body` is what it sends."""
    toy = Download(
        name="ml-toy",
        about="A toy: 1 rating",
        checksum=f"md5:{hashlib.md5(archive).hexdigest()}",
        n_bytes=len(archive),
        ratings_file="ratings.csv",
        terms="Play with it.",
    )
    monkeypatch.setitem(DOWNLOADS, "ml-toy", toy)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.chdir(tmp_path)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", len(archive))
            self.end_headers()
            self.wfile.write(server.body)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.body = archive
        monkeypatch.setenv("HARNESS_DATA_URL", f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield server
        server.shutdown()


def get(*arguments):
    return CliRunner().invoke(app, ["data", "get", *arguments])


@pytest.mark.usefixtures("server")
def test_the_terms_come_before_and_the_next_command_after(tmp_path):
    result = get("ml-toy")
    assert result.exit_code == 0, result.output
    folder = tmp_path / "harness-data" / "ml-toy"
    assert [p.name for p in folder.iterdir()] == ["ratings.csv"]
    lines = [line for line in result.stdout.splitlines() if line]
    assert lines == [
        "A toy: 1 rating (0.0 MB).",
        "Terms of use: Play with it.",
        "ml-toy is in harness-data/ml-toy now.",
        "Next: harness study svd --data harness-data/ml-toy",
    ]


@pytest.mark.usefixtures("server")
def test_a_folder_can_be_named(tmp_path):
    result = get("ml-toy", "--out", "my data")
    assert (tmp_path / "my data" / "ratings.csv").is_file()
    assert "Next: harness study svd --data 'my data'" in result.stdout


def test_what_is_there_already_is_not_downloaded_again(server):
    get("ml-toy")
    server.body = b"not what it was"
    result = get("ml-toy")
    assert result.exit_code == 0
    assert "is in harness-data/ml-toy already: nothing to do." in result.stdout


def test_a_refused_download_is_one_sentence_and_exit_code_2(server, tmp_path):
    server.body = server.body[:20]
    result = get("ml-toy")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert "broke off" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("server")
def test_a_mirror_named_on_the_command_line_wins(tmp_path):
    result = get("ml-toy", "--url", "http://127.0.0.1:1")
    assert result.exit_code == 2
    assert "http://127.0.0.1:1/datasets/movielens/ml-toy.zip" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_misspelt_name_is_refused_with_a_hint():
    result = get("ml-100")
    assert result.exit_code == 2
    assert "Did you mean 'ml-100k'?" in result.stderr
