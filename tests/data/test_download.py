import hashlib
import io
import threading
import zipfile
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness.data.download import DOWNLOADS, Download, fetch, find_download, is_fetched
from harness.errors import DownloadError, UnknownNameError


def packed(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


ARCHIVE = packed(**{"toy/ratings.csv": "a,b,5\n", "toy/README.txt": "terms"})


def described(archive):
    return Download(
        name="toy",
        about="A toy",
        checksum=f"sha256:{hashlib.sha256(archive).hexdigest()}",
        n_bytes=len(archive),
        ratings_file="ratings.csv",
        terms="none",
    )


@pytest.fixture
def server(monkeypatch):
    """A server that answers every request alike: set status, body and announced."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked.append(self.path)
            self.send_response(server.status)
            self.send_header("Content-Length", server.announced or len(server.body))
            self.end_headers()
            with suppress(ConnectionError):  # the other side may have had enough
                self.wfile.write(server.body)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.status, server.body, server.announced, server.asked = 200, ARCHIVE, 0, []
        server.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield server
        server.shutdown()


def test_a_data_set_is_downloaded_checked_and_unpacked(server, tmp_path):
    folder = tmp_path / "new" / "toy"
    fetch(described(ARCHIVE), folder, base_url=server.url + "/mirror/")
    assert server.asked == ["/mirror/datasets/movielens/toy.zip"]
    assert sorted(p.name for p in folder.iterdir()) == ["README.txt", "ratings.csv"]
    assert (folder / "ratings.csv").read_text() == "a,b,5\n"
    assert [p.name for p in folder.parent.iterdir()] == ["toy"]
    assert is_fetched(described(ARCHIVE), folder)


def test_an_empty_folder_is_filled(server, tmp_path):
    fetch(described(ARCHIVE), tmp_path, base_url=server.url)
    assert is_fetched(described(ARCHIVE), tmp_path)


def test_the_progress_counts_the_bytes_of_the_archive(server, tmp_path):
    calls = []
    fetch(
        described(ARCHIVE),
        tmp_path / "toy",
        base_url=server.url,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls[-1] == (len(ARCHIVE), len(ARCHIVE))
    assert calls == sorted(calls)


def refused(server, tmp_path, match, archive=ARCHIVE):
    with pytest.raises(DownloadError, match=match) as caught:
        fetch(described(archive), tmp_path / "new" / "toy", base_url=server.url)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir()), "something was left behind"


def test_a_wrong_checksum_is_refused(server, tmp_path):
    server.body = ARCHIVE + b"!"
    refused(server, tmp_path, "sha256 checksum differs")


def test_a_download_that_breaks_off_is_refused(server, tmp_path):
    server.announced = len(ARCHIVE)
    server.body = ARCHIVE[:50]
    refused(server, tmp_path, "broke off")


def test_a_download_that_ends_early_without_saying_so_is_refused(server, tmp_path):
    server.body = ARCHIVE[:50]
    refused(server, tmp_path, "checksum differs")


def test_a_download_that_does_not_end_is_stopped(server, tmp_path):
    server.body = bytes(10_000_000)
    refused(server, tmp_path, "checksum differs")


@pytest.mark.parametrize(
    ("status", "answer"), [(404, "404 Not Found"), (503, "503 Service Unavailable")]
)
def test_an_error_of_the_server_is_named(server, tmp_path, status, answer):
    server.status = status
    refused(server, tmp_path, f"the server answered {answer}")


def test_a_server_that_is_not_there_is_named(server, tmp_path):
    server.url = "http://127.0.0.1:1"
    refused(server, tmp_path, r"http://127\.0\.0\.1:1/.*: the server cannot be reached")


def test_nothing_is_written_outside_the_folder(server, tmp_path):
    server.body = packed(**{"toy/ratings.csv": "good", "../../evil.txt": "bad"})
    folder = tmp_path / "new" / "toy"
    fetch(described(server.body), folder, base_url=server.url)
    assert all(folder in path.parents for path in tmp_path.rglob("evil.txt"))
    assert [p.name for p in tmp_path.iterdir()] == ["new"]


def test_an_archive_that_is_damaged_is_refused(server, tmp_path):
    server.body = b"not a zip archive"
    refused(server, tmp_path, "damaged", server.body)


def test_a_folder_with_something_else_in_it_is_left_alone(server, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DownloadError, match="is there already, but is not toy"):
        fetch(described(ARCHIVE), tmp_path, base_url=server.url)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    assert not server.asked


def test_a_place_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DownloadError, match=r"toy: cannot be written"):
        fetch(described(ARCHIVE), tmp_path / "file" / "toy", base_url=server.url)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("url", ["", "mirror.example", "file:///data", "http://"])
def test_an_address_that_is_none_is_refused(tmp_path, url):
    with pytest.raises(DownloadError, match="must begin with http"):
        fetch(described(ARCHIVE), tmp_path / "toy", base_url=url)


def test_a_password_in_the_address_is_not_shown(server, tmp_path):
    server.status = 404
    url = server.url.replace("http://", "http://me:secret@")
    with pytest.raises(DownloadError) as caught:
        fetch(described(ARCHIVE), tmp_path / "toy", base_url=url)
    assert "secret" not in str(caught.value)


def test_an_interrupted_download_leaves_nothing_behind(server, tmp_path):
    def interrupt(_done, _total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(
            described(ARCHIVE),
            tmp_path / "new" / "toy",
            base_url=server.url,
            progress=interrupt,
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("download", DOWNLOADS.values(), ids=DOWNLOADS)
def test_every_data_set_has_a_checksum_of_the_right_length(download):
    algorithm, _, digest = download.checksum.partition(":")
    assert len(bytes.fromhex(digest)) == hashlib.new(algorithm).digest_size
    assert "research" in download.terms


def test_a_misspelt_data_set_is_refused_with_a_hint():
    with pytest.raises(UnknownNameError, match="Did you mean 'ml-100k'"):
        find_download("ml-100")
