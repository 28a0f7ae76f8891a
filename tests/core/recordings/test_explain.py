from pathlib import Path

from badc_core.datasets.dataset import Dataset
from badc_core.recordings.explain import count_kinds, doubt_stations, read_paths

PATHS = [
    "audio/North/S1/20240601_053000.wav",
    "audio/South/S1/Data/20240601_053000.wav",
    "audio/255/445/20190324_AAO/20190324T060000+1000_REC.wav",
    "audio/Data/WBT_20240601_053000.wav",
    "audio/Data/notes.wav",
]


def test_kinds_of_paths_are_counted_with_an_example(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    counts = count_kinds(read_paths(Dataset.open(tmp_path), PATHS))
    assert counts[0] == (
        "2 x station from the folder, start from the name, such as "
        "audio/North/S1/20240601_053000.wav: S1, 2024-06-01 05:30:00"
    )
    assert [one.split(",")[0] for one in counts[1:]] == [
        "1 x station from the folder",
        "1 x station from the file name",
        "1 x no station",
    ]


def test_doubtful_names_of_stations_are_told(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    (tmp_path / "deployments.csv").write_text("location\ns1\nWBT\n")
    dataset = Dataset.open(tmp_path)
    digits, split, unmatched, unlisted = doubt_stations(dataset, read_paths(dataset, PATHS))
    assert digits.startswith("station 445: only digits")
    assert split.startswith("station S1: under several folders")
    assert unmatched.startswith("station s1: in the table of deployments")
    assert unlisted.startswith("station 445, S1: has recordings, but no row")


def test_a_station_named_like_the_slot_of_a_card_is_doubted(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    dataset = Dataset.open(tmp_path)
    paths = ["audio/MARSH/A/x.wav", "audio/MARSH/B/x.wav", "audio/POND/A/Data/x.wav"]
    (slots,) = doubt_stations(dataset, read_paths(dataset, paths))
    assert slots.startswith("station A, B: named like the slot of a card")


def test_names_of_days_takes_cards_and_copies_are_doubted_where_they_are_stations(tmp_path) -> None:
    (tmp_path / "audio").mkdir()
    paths = [
        "Night 1/x.wav",
        "2024-08-15 Marsh/x.wav",
        "S1 (1)/x.wav",
        "S1/x.wav",
        "P_20240815/x.wav",
        "REC12/x.wav",
    ]
    dataset = Dataset.open(tmp_path)
    doubts = doubt_stations(dataset, read_paths(dataset, [f"audio/{one}" for one in paths]))
    assert [one.partition(", ")[0] for one in doubts] == [
        "station 2024-08-15 Marsh",
        "station S1 (1): named like a copied folder",
    ]
    assert "Night 1, P_20240815, REC12: named like a folder for a day" in doubts[0]


def test_folders_read_as_days_or_takes_are_doubted_where_they_may_be_stations(tmp_path) -> None:
    (tmp_path / "audio").mkdir()
    paths = [
        "North/20240815_Marsh/x.wav",
        "North/20240816_Pond/x.wav",
        "445/20240815_Samford/x.wav",
        "445/20240816_Samford/x.wav",
        "S1/240815_001/240815_001_Tr1.WAV",
    ]
    dataset = Dataset.open(tmp_path)
    doubts = doubt_stations(dataset, read_paths(dataset, [f"audio/{one}" for one in paths]))
    (doubt,) = (one for one in doubts if "days or takes" in one)
    assert doubt.startswith("station North: its folders 20240815_Marsh, 20240816_Pond are read as")


def test_zones_in_names_that_are_not_read_are_told_with_their_number(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    paths = [f"audio/S1/20240815_09115{digit}_IST.wav" for digit in range(3)]
    dataset = Dataset.open(tmp_path)
    (doubt,) = doubt_stations(dataset, read_paths(dataset, paths))
    assert doubt.startswith("3 x '_IST' in the file name looks like an offset from UTC")
    assert doubt.endswith("Such as audio/S1/20240815_091150_IST.wav")


def test_numbered_folders_of_one_station_are_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    paths = [
        *("North/Card 1/x.wav", "North/Card 2/x.wav", "South/Data1/x.wav", "South/Data2/x.wav"),
        *("East/Night 1/x.wav", "West/FOLDER01/x.wav", "West/FOLDER02/x.wav"),
        *("Bay/REC0001/x.wav", "Bay/REC0002/x.wav"),
    ]
    dataset = Dataset.open(tmp_path)
    (doubt,) = doubt_stations(dataset, read_paths(dataset, [f"audio/{one}" for one in paths]))
    assert doubt.startswith(
        "station Bay, North, South: Card 1, Card 2, Data1, Data2, REC0001 and 1"
    )


def test_a_day_folder_with_the_name_of_another_station_is_told(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    paths = [f"Forest/{one}_20240815/{one}_20240815_060000.wav" for one in ("P1", "P2", "Forest")]
    dataset = Dataset.open(tmp_path)
    doubts = doubt_stations(dataset, read_paths(dataset, [f"audio/{one}" for one in paths]))
    (doubt,) = (one for one in doubts if "days or takes" in one)
    assert doubt.startswith("station Forest: its folders P1_20240815, P2_20240815 are read as days")


def test_recorders_that_may_be_called_like_a_take_or_a_card_are_doubted(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    dataset = Dataset.open(tmp_path)
    paths = [f"audio/Forest/{one}/Data/x.wav" for one in ("REC101", "REC102", "SD1", "AM101")]
    (doubt,) = doubt_stations(dataset, read_paths(dataset, paths))
    assert doubt.startswith("station REC101, REC102, SD1: named like a folder for a day, a take")
