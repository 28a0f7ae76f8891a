"""What was found in a whole dataset, in a few kilobytes (`reports/highlights.py`)."""

from badc_core.corpus.database import query
from badc_core.corpus.reading import open_corpus
from badc_core.datasets.dataset import Dataset
from badc_core.reports.highlights import Highlights, draw_bars, shrink_first_spectrogram
from badc_core.site.dataset_page import SPECIES
from badc_core.species_names import SpeciesNames

_BY_HOUR = """
    SELECT local_hour, sum(detections)::BIGINT FROM counts_by_hour GROUP BY local_hour
"""


def find_highlights(dataset: Dataset, page: str = "") -> Highlights:
    """Returns the top species of a corpus, with a picture.

    Args:
        dataset: the corpus's.
        page: the dataset's, whose first spectrogram is shown; without one, how many detections
            there are in each hour of the day.

    Raises:
        ContentMissing, DatasetInvalid: as for `open_corpus`.
    """
    names = SpeciesNames.read(dataset.settings.report.language)
    picture = shrink_first_spectrogram(page)
    with open_corpus(dataset) as connection:
        species = names.add_to(query(connection, SPECIES))
        if picture is None and species:
            counts = dict(connection.execute(_BY_HOUR).fetchall())
            values = [counts.get(hour, 0) for hour in range(24)]
            picture = draw_bars(values, ("0:00", "24:00"), "Detections by hour of the local day")
    return Highlights.choose(species, picture)
