"""What can be found wrong with a file of a dataset."""

from dataclasses import dataclass, field

AUDIO = "audio"
"""In place of a stage: the recording's own file, which BADC never writes."""


@dataclass(frozen=True)
class Finding:
    """A file that is not as it was written.

    Attributes:
        recording_id: whose; empty for the corpus.
        stage: the stage or corpus asset that writes it; `audio` for the recording's own file, and
            empty for the file that says how the others were.
        path: relative to the dataset.
        what: a sentence without a full stop.
    """

    recording_id: str
    stage: str
    path: str
    what: str


@dataclass
class Report:
    """What looking at a dataset came to.

    Attributes:
        findings: what is wrong, in order.
        n_recordings: that were looked at.
        n_files: that were compared with what was written.
        n_elsewhere: files whose content is out of reach, such as annexed ones that are not here;
            nothing is wrong with them.
        n_unknown: outputs of which nobody wrote down what bytes they have, as of those that
            `badc chunk` and `badc infer` write; they were not compared.
        changed: paths of files in exports that somebody changed, which is no damage.
    """

    findings: list[Finding]
    n_recordings: int = 0
    n_files: int = 0
    n_elsewhere: int = 0
    n_unknown: int = 0
    changed: list[str] = field(default_factory=list)

    def add(self, other: "Report") -> None:
        """Adds what looking at something else came to."""
        self.findings += other.findings
        self.n_recordings += other.n_recordings
        self.n_files += other.n_files
        self.n_elsewhere += other.n_elsewhere
        self.n_unknown += other.n_unknown
        self.changed += other.changed
