"""What to do about a damaged file: a recording is copied again, a chunk's file is written again."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from badc_core.audio.reader import AudioFile
from badc_core.errors import BadcError

_CHUNK = "S1__rec_chunk_0_60000.wav"


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("rec.wav", "Copy it again from the card"), (_CHUNK, "badc chunk run FILE")],
)
def test_a_truncated_file_is_replaced_by_what_made_it(tmp_path: Path, name: str, remedy: str):
    path = tmp_path / name
    sf.write(path, np.zeros(16_000), 16_000)
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(BadcError, match=f"truncated.*{remedy}"):
        AudioFile(path)


@pytest.mark.parametrize(
    ("name", "remedy"), [("rec.wav", "badc scan --prune DATASET"), (_CHUNK, "badc chunk run FILE")]
)
def test_a_file_that_is_gone_is_put_back_or_written_again(tmp_path: Path, name: str, remedy: str):
    with pytest.raises(BadcError, match=f"the file is gone.*{remedy}"):
        AudioFile(tmp_path / name)
