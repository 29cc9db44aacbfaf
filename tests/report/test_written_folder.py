import pytest

from harness.errors import StudyError
from harness.report.write import write_folder


def writing(**texts):
    def compose(folder):
        for name, text in texts.items():
            (folder / name).write_text(text)

    return compose


def test_files_of_an_earlier_time_are_replaced_and_others_stay(tmp_path):
    folder = tmp_path / "there"
    write_folder(folder, writing(text="1", figure="1"), last=["text"], replaced=[])
    (folder / "mine").write_text("mine")
    write_folder(folder, writing(text="2"), last=["text"], replaced=["figure", "mime"])
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "text": "2",
        "mine": "mine",
    }


def test_a_failure_leaves_everything_as_it_was(tmp_path):
    folder = tmp_path / "there"
    write_folder(folder, writing(text="1"), last=["text"], replaced=[])

    def fail(scratch):
        (scratch / "text").write_text("2")
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="middle"):
        write_folder(folder, fail, last=["text"], replaced=["text"])
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert (folder / "text").read_text() == "1"


def test_a_folder_that_cannot_be_written_to_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StudyError, match=r"cannot be written to .*choose another"):
        write_folder(tmp_path / "file", writing(text="1"), last=[], replaced=[])
