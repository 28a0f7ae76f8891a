"""Writers that are really killed, disks that are really full."""

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest

from badc_core.atomic import remove_abandoned, replacing, replacing_folder, write_text
from badc_core.errors import OutputUnwritable, StorageFull

OLD = "the old content\n"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Returns a file with the old content, alone in its folder."""
    path = tmp_path / "out" / "result é.csv"
    write_text(path, OLD)
    return path


def only(path: Path) -> bool:
    """Tells whether nothing else lies in the folder, hidden or not."""
    return list(path.parent.iterdir()) == [path]


def test_new_content_takes_the_place_of_the_old(output: Path) -> None:
    write_text(output, "new é\n")
    assert output.read_bytes() == "new é\n".encode()
    assert only(output)


def test_the_folder_is_made_where_it_is_missing(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b" / "c.txt", "x")
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "x"


def test_until_the_block_ends_a_reader_sees_the_old_content(output: Path) -> None:
    with replacing(output) as aside:
        aside.write_text("half of")
        assert output.read_text() == OLD
        assert aside.parent == output.parent
        assert aside.name.startswith(".")
        assert aside not in set(output.parent.glob("[!.]*"))
        with aside.open("a") as file:
            file.write(" the new")
    assert output.read_text() == "half of the new"


def test_an_error_leaves_the_old_content_and_no_rubbish(output: Path) -> None:
    with pytest.raises(TypeError), replacing(output) as aside, aside.open("w") as file:
        file.writelines(["half", None])
    assert output.read_text() == OLD
    assert only(output)


def test_a_block_that_writes_nothing_is_an_error_and_leaves_the_old_content(output: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(output):
        pass
    assert output.read_text() == OLD
    assert only(output)


def test_two_writers_at_once_do_not_share_a_file(output: Path) -> None:
    with replacing(output) as one, replacing(output) as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert output.read_text() == "one"
    assert only(output)


def test_a_link_is_replaced_and_what_it_leads_to_stays(output: Path, tmp_path: Path) -> None:
    annexed = tmp_path / "annexed"
    annexed.write_text("annexed")
    annexed.chmod(0o444)
    output.unlink()
    output.symlink_to(annexed)
    write_text(output, "new")
    assert not output.is_symlink()
    assert output.read_text() == "new"
    assert annexed.read_text() == "annexed"


def test_a_link_to_nothing_is_replaced(output: Path) -> None:
    output.unlink()
    output.symlink_to("not/here")
    write_text(output, "new")
    assert not output.is_symlink()
    assert output.read_text() == "new"


@pytest.fixture
def full_disk(lacking) -> Path:
    """Returns the kernel's own full disk."""
    full = Path("/dev/full")
    if not full.exists():
        lacking("/dev/full")
    return full


def write_through(link: Path, target: Path) -> None:
    link.symlink_to(target)
    link.write_text("new")


def test_a_full_disk_is_called_one_and_leaves_the_old_content(
    output: Path, full_disk: Path
) -> None:
    with pytest.raises(StorageFull) as caught, replacing(output) as aside:
        write_through(aside, full_disk)
    assert caught.value.where == str(output)
    assert caught.value.retryable
    assert "Free some space" in str(caught.value)
    assert output.read_text() == OLD
    assert only(output)


def test_a_full_disk_under_a_folder_leaves_the_old_folder(output: Path, full_disk: Path) -> None:
    folder = output.parent
    with pytest.raises(StorageFull), replacing_folder(folder) as aside:
        write_through(aside / "file", full_disk)
    assert output.read_text() == OLD
    assert only(folder)


@pytest.mark.parametrize("place", ["file/below", "file/far/below", "folder", "pipe", "n" * 300])
def test_a_place_that_takes_no_file_is_one_clear_error(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputUnwritable) as caught:
        write_text(tmp_path / place, "y")
    assert caught.value.where == str(tmp_path / place)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "pipe").is_fifo()


def in_a_deleted_folder(monkeypatch, tmp_path: Path) -> Path:
    """Returns a place in the current folder, which is not there any more."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    return Path("table.csv")


def write_table(path: Path, writing: str) -> None:
    with replacing(path) as aside:
        if writing == "python":
            aside.write_text("x")
        else:
            pa_csv.write_csv(pa.table({"a": [1]}), aside)


@pytest.mark.parametrize("place", ["/proc/table.csv", "/proc/new/table.csv", "deleted"])
@pytest.mark.parametrize("writing", ["python", "arrow"])
def test_a_folder_that_takes_no_file_at_all_is_one_clear_error(
    tmp_path: Path, monkeypatch, lacking, place: str, writing: str
) -> None:
    if not Path("/proc/self").exists():
        lacking("/proc")
    path = in_a_deleted_folder(monkeypatch, tmp_path) if place == "deleted" else Path(place)
    with pytest.raises(OutputUnwritable) as caught:
        write_table(path, writing)
    assert caught.value.where == str(path)
    assert caught.value.what == "cannot be written (No such file or directory)"
    assert ".part" not in str(caught.value)


def write_into_a_deleted_folder(path: Path) -> None:
    with replacing(path) as aside:
        shutil.rmtree(path.parent)
        aside.write_text("x")


def test_a_folder_that_is_deleted_meanwhile_is_no_unwritable_place(output: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_into_a_deleted_folder(output)


def test_errors_of_other_files_keep_their_own_name(tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "input"
    other.mkdir(parents=True)
    with pytest.raises(IsADirectoryError), replacing(tmp_path / "out" / "output"):
        other.read_text()


_CUT_SHORT = """
import resource, sys
from pathlib import Path
from badc_core.atomic import write_text
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
write_text(Path(sys.argv[1]), "new" * 100_000)
"""


def test_a_write_that_is_cut_short_is_never_put_in_place(output: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CUT_SHORT, str(output)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert output.read_text() == OLD
    assert only(output)


_WRITE_FOR_EVER = """
import sys
from itertools import cycle
from pathlib import Path
from badc_core.atomic import replacing, replacing_folder
path = Path(sys.argv[2])
for letter in cycle("ab"):
    if sys.argv[1] == "file":
        with replacing(path) as aside, aside.open("w") as file:
            for _ in range(50):
                file.write(letter * 10_000)
                file.flush()
    else:
        with replacing_folder(path) as aside:
            for number in range(50):
                (aside / f"{number}.txt").write_text(letter * 1000)
    print(flush=True)
"""


def kill_in_the_middle(kind: str, path: Path, after_s: float) -> None:
    """Starts a writer, waits for its first output and a moment more, and kills it."""
    with subprocess.Popen(
        [sys.executable, "-c", _WRITE_FOR_EVER, kind, str(path)], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(after_s)
        writer.kill()


@pytest.mark.parametrize("n_kills", [3, pytest.param(12, marks=pytest.mark.soak)])
def test_a_killed_writer_never_leaves_half_a_file(tmp_path: Path, n_kills: int) -> None:
    path = tmp_path / "out" / "file"
    n_halves = 0
    moments = random.Random(1)
    for number in range(40):
        if n_halves and number >= n_kills:
            break
        kill_in_the_middle("file", path, moments.uniform(0, 0.02))
        content = path.read_text()
        assert content in {"a" * 500_000, "b" * 500_000}
        assert list(path.parent.glob("[!.]*")) == [path]
        n_halves += len(list(path.parent.iterdir())) - 1
        shutil.rmtree(path.parent)
    assert n_halves, "no writer was killed while it wrote, so this proves nothing"


@pytest.mark.parametrize("n_kills", [3, pytest.param(8, marks=pytest.mark.soak)])
def test_a_killed_writer_never_leaves_a_mixture_of_two_folders(
    tmp_path: Path, n_kills: int
) -> None:
    path = tmp_path / "out" / "folder"
    moments = random.Random(2)
    for _ in range(n_kills):
        kill_in_the_middle("folder", path, moments.uniform(0, 0.03))
        if path.exists() and len(files := list(path.iterdir())) == 50:
            assert len({file.read_text() for file in files}) == 1
        assert [one.name for one in path.parent.glob("[!.]*")] in ([], ["folder"])
        shutil.rmtree(path.parent)


def test_a_folder_takes_the_place_of_the_old_one_whole(output: Path) -> None:
    with replacing_folder(output.parent) as aside:
        assert list(aside.iterdir()) == []
        (aside / "new.txt").write_text("new")
        assert output.read_text() == OLD
    assert [path.name for path in output.parent.iterdir()] == ["new.txt"]
    assert only(output.parent)


def test_an_error_leaves_the_old_folder_and_no_rubbish(output: Path) -> None:
    with (
        pytest.raises(TypeError),
        replacing_folder(output.parent) as aside,
        (aside / "new.txt").open("w") as file,
    ):
        file.writelines(["half", None])
    assert output.read_text() == OLD
    assert only(output.parent)


_REPLACE_MANY_TIMES = """
import sys
from pathlib import Path
from badc_core.atomic import replacing_folder
path, letter = Path(sys.argv[1]), sys.argv[2]
sys.stdin.readline()
for _ in range(60):
    with replacing_folder(path) as aside:
        for number in range(5):
            (aside / f"{number}.txt").write_text(letter)
"""


def test_many_writers_of_one_folder_all_succeed_and_one_of_them_stays(output: Path) -> None:
    folder = output.parent
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _REPLACE_MANY_TIMES, str(folder), letter],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for letter in "abcdef"
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    told = [writer.communicate(timeout=120)[1] for writer in writers]
    assert told == [""] * len(writers)
    assert [writer.returncode for writer in writers] == [0] * len(writers)
    assert sorted(path.name for path in folder.iterdir()) == [f"{n}.txt" for n in range(5)]
    assert len({path.read_text() for path in folder.iterdir()}) == 1
    assert only(folder)


@pytest.mark.parametrize("target", ["real", "not/here"])
def test_a_link_to_a_folder_is_replaced_and_what_it_leads_to_stays(
    output: Path, tmp_path: Path, target: str
) -> None:
    real = tmp_path / "real"
    output.parent.rename(real)
    output.parent.symlink_to(target)
    with replacing_folder(output.parent) as aside:
        (aside / "new.txt").write_text("new")
    assert not output.parent.is_symlink()
    assert (output.parent / "new.txt").read_text() == "new"
    assert (real / output.name).read_text() == OLD


def test_links_and_folders_within_a_folder_are_kept(output: Path) -> None:
    with replacing_folder(output.parent) as aside:
        (aside / "below").mkdir()
        (aside / "below" / "file").touch()
        (aside / "link").symlink_to("nowhere")
    assert (output.parent / "below" / "file").exists()
    assert (output.parent / "link").is_symlink()


def test_a_folder_may_be_new(tmp_path: Path) -> None:
    with replacing_folder(tmp_path / "a" / "b") as aside:
        (aside / "x").touch()
    assert (tmp_path / "a" / "b" / "x").exists()


def test_what_a_killed_writer_had_aside_is_removed_and_nothing_else(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from badc_core.atomic import replacing, replacing_folder\n"
        "file, folder = map(Path, sys.argv[1:])\n"
        "with replacing(file) as aside, replacing_folder(folder) as other:\n"
        "    aside.write_text('half')\n"
        "    (other / 'in').write_text('half')\n"
        "    Path(f'{aside}.wal').write_text('log of a database')\n"
        "    Path(f'{aside}.tmp').mkdir()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = [str(tmp_path / "it's a table.csv"), str(tmp_path / "folder")]
    subprocess.run([sys.executable, "-c", script, *killed], check=False)
    (tmp_path / "song.part").write_text("not ours")
    (tmp_path / ".other.part").write_text("nor this")
    with replacing(tmp_path / "mine.csv") as mine:
        mine.write_text("still being written")
        assert len(list(tmp_path.iterdir())) == 7
        remove_abandoned(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {
            *("song.part", ".other.part", mine.name)
        }
    remove_abandoned(tmp_path / "absent")
