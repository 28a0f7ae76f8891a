"""Stands in for HawkEars 1's analyze.py: its flags, its files and its ways to fail.

Written from a description of the program; only the networks are missing. Species are bands in
which loud moments rise above the median. Fixtures copy this file into a checkout as `analyze.py`,
so it imports nothing of BADC.
"""

import argparse
import csv
import sqlite3
import sys
from pathlib import Path

import numpy as np
import soundfile as sf

VERSION = "1.0.8 (stand-in)"
WINDOW_S = 3.0
FRAME_SAMPLES = 1024
SPECIES = {
    ("Mourning Dove", "MODO"): (300, 1000),
    ("Northern Flicker", "NOFL"): (2000, 3000),
    ("Common Yellowthroat", "COYE"): (3000, 6000),
    ("Golden-crowned Kinglet", "GCKI"): (6000, 10_000),
}
COLUMNS = ("filename", "start_time", "end_time", "class_name", "class_code", "score")
READMITTED_FRACTION = 0.7
RARE_BELOW = 0.0001


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("-i", "--input", default="")
    parser.add_argument("-o", "--output", default="")
    parser.add_argument("-p", "--min_score", type=float, default=0.8)
    parser.add_argument("-b", "--band", type=int, choices=[0, 1], default=1)
    parser.add_argument("-m", "--merge", type=int, choices=[0, 1], default=1)
    parser.add_argument("--overlap", type=float, default=1.5)
    parser.add_argument("-s", "--start", default="")
    parser.add_argument("-e", "--end", default="")
    parser.add_argument("--threads", type=int, default=3)
    parser.add_argument("--rtype", choices=["audacity", "csv", "both"], default="audacity")
    for flag in ("--recurse", "--fast", "--embed", "-d"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--power", type=float, default=1.0)
    for flag in ("--date", "--region", "--filelist"):
        parser.add_argument(flag)
    for flag in ("--lat", "--lon"):
        parser.add_argument(flag, type=float)
    return parser.parse_args()


def give_up(message):
    """Says what is wrong and leaves as the original does: with exit code 0."""
    print(f"Error: {message}", file=sys.stderr)
    sys.exit(0)


def ignored_classes():
    return set(Path("data/ignore.txt").read_text(encoding="utf-8").splitlines())


def rare_codes(arguments):
    """Returns the codes of species hardly reported there, or nothing where no place was given."""
    if arguments.region is None and (arguments.lat is None or arguments.lon is None):
        return set()
    with sqlite3.connect("data/occurrence.db") as database:
        region = arguments.region or region_of(database, arguments.lat, arguments.lon)
        rows = database.execute(
            "SELECT code, value FROM occurrence WHERE region = ?", (region,)
        ).fetchall()
    if not rows:
        give_up(f"region {region!r} not found")
    return {code for code, value in rows if value < RARE_BELOW}


def region_of(database, latitude, longitude):
    found = database.execute(
        "SELECT region FROM place WHERE ? BETWEEN south AND north AND ? BETWEEN west AND east",
        (latitude, longitude),
    ).fetchone()
    if found is None:
        give_up(f"no county found for latitude {latitude} and longitude {longitude}")
    return found[0]


def score(sound, rate_hz, low_hz, high_hz):
    if len(sound) < FRAME_SAMPLES:
        return 0.0
    frames = np.lib.stride_tricks.sliding_window_view(sound, FRAME_SAMPLES)[::FRAME_SAMPLES]
    power = np.abs(np.fft.rfft(frames * np.hanning(FRAME_SAMPLES), axis=1)) ** 2
    hz = np.fft.rfftfreq(FRAME_SAMPLES, 1 / rate_hz)
    band = power[:, (hz >= low_hz) & (hz < high_hz)].sum(axis=1)
    loud = np.quantile(band, 0.9)
    if loud <= 1e-4:
        return 0.0
    contrast_db = 10 * np.log10(loud / max(np.median(band), 1e-4))
    return float(np.clip((contrast_db - 1) / 9, 0, 1))


def find(path, arguments):
    """Returns rows of start, end, name, code and score; windows may end after the file does."""
    sound, rate_hz = sf.read(path, dtype="float32", always_2d=True)
    sound = sound.mean(axis=1)
    window, hop = round(WINDOW_S * rate_hz), WINDOW_S - arguments.overlap
    starts = np.arange(0, len(sound) / rate_hz, hop)
    found = []
    for (name, code), band_hz in SPECIES.items():
        scores = [
            score(sound[round(start * rate_hz) :][:window], rate_hz, *band_hz) for start in starts
        ]
        if max(scores) < arguments.min_score:
            continue
        for start, one in zip(starts, scores, strict=True):
            if one >= READMITTED_FRACTION * arguments.min_score and one > 0:
                end = start + WINDOW_S
                found.append([start, end, name, code, max(one, arguments.min_score)])
    return merge(found) if arguments.merge else found


def merge(found):
    merged = []
    for row in found:
        if merged and merged[-1][2] == row[2] and merged[-1][1] >= row[0]:
            merged[-1][1] = row[1]
            merged[-1][4] = max(merged[-1][4], row[4])
        else:
            merged.append(list(row))
    return merged


def write_table(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for name, start, end, class_name, code, value in sorted(rows):
            writer.writerow([name, f"{start:.3f}", f"{end:.3f}", class_name, code, f"{value:.3f}"])


def write_audacity(path, rows, band):
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for _, start, end, name, code, value in sorted(rows):
            file.write(f"{start:.2f}\t{end:.2f}\t{code if band else name};{value:.3f}\n")


def analyze(paths, arguments):
    ignored, rare = ignored_classes(), rare_codes(arguments)
    rows = []
    for path in paths:
        print(f"Analyzing {path}", file=sys.stderr)
        try:
            found = find(path, arguments)
        except sf.LibsndfileError as error:
            print(f"ffmpeg error in {path}: {error}", file=sys.stderr)
            continue
        rows.append((path, [[path.name, *row] for row in found if row[2] not in ignored]))
    if not rows:
        sys.exit(0)
    output = Path(arguments.output)
    expected = [row for _, some in rows for row in some if row[4] not in rare]
    rarities = [row for _, some in rows for row in some if row[4] in rare]
    if arguments.rtype in {"csv", "both"}:
        write_table(output / "HawkEars_labels.csv", expected)
        if rarities:
            write_table(output / "HawkEars_rarities.csv", rarities)
    if arguments.rtype in {"audacity", "both"}:
        for path, some in rows:
            common = [row for row in some if row[4] not in rare]
            write_audacity(output / f"{path.stem}_HawkEars.txt", common, arguments.band)
            uncommon = [row for row in some if row[4] in rare]
            if uncommon:
                folder = output / "rarities"
                write_audacity(folder / f"{path.stem}_HawkEars.txt", uncommon, arguments.band)
    settings = "".join(f"  {key}: {value}\n" for key, value in sorted(vars(arguments).items()))
    summary = f"HawkEars version: {VERSION}\nDevice: cpu\nSettings:\n{settings}"
    (output / "HawkEars_summary.txt").write_text(summary, encoding="utf-8")


def main():
    arguments = parse_arguments()
    networks = sorted(Path("data/ckpt").glob("*.ckpt"))
    if not networks:
        give_up("no checkpoints found in data/ckpt")
    for network in networks:
        if not network.read_bytes():
            give_up(f"{network} is empty")
    given = Path(arguments.input)
    if not given.exists():
        give_up(f"input {given} not found")
    Path(arguments.output).mkdir(parents=True, exist_ok=True)
    analyze(sorted(given.iterdir()) if given.is_dir() else [given], arguments)


if __name__ == "__main__":
    main()
