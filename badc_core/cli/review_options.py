"""Options of `badc review queue`."""

from dataclasses import dataclass
from typing import Annotated

from badc_core.errors import OptionInvalid
from badc_core.options import OptionSpec
from badc_core.reviews.candidates import Choice
from badc_core.reviews.queue import QueueOrder
from badc_core.reviews.sampling import DEFAULT_STRATEGY, STRATEGIES, Sampling

_MOST = 100_000


@dataclass(frozen=True, kw_only=True)
class QueueOptions:
    """What a queue is to have."""

    name: Annotated[str, OptionSpec("Name of its folder.", "queue-1, queue-2, ...")] = ""
    strategy: Annotated[str, OptionSpec(f"How detections are drawn: {', '.join(STRATEGIES)}.")] = (
        DEFAULT_STRATEGY
    )
    per_species: Annotated[
        int, OptionSpec("How many of each species, or other label.", least=1, most=_MOST)
    ] = Sampling.per_label
    species: Annotated[
        tuple[str, ...], OptionSpec("Only this species; may be given again.", "all")
    ] = ()
    station: Annotated[
        tuple[str, ...], OptionSpec("Only this station; may be given again.", "all")
    ] = ()
    seed: Annotated[int, OptionSpec("Another seed draws others.", least=0)] = Sampling.seed
    max_per_recording: Annotated[int, OptionSpec("Of each species; 0 for any number.", least=0)] = (
        Sampling.max_per_recording
    )
    min_spacing: Annotated[
        float, OptionSpec("Seconds between two of a species in a recording.", least=0)
    ] = Sampling.min_spacing_s
    padding: Annotated[
        float, OptionSpec("Seconds of sound before and after each.", least=0, most=60)
    ] = QueueOrder.padding_s
    ask_again: Annotated[
        bool, OptionSpec("Also draw those whose verdict is uncertain or disputed.")
    ] = False
    renew: Annotated[str, OptionSpec("Draw none: cut the sounds of this queue again.", "none")] = ""

    def order(self) -> QueueOrder:
        """Returns what the queue is to have.

        Raises:
            OptionInvalid: there is no such strategy; or a queue that is drawn already is to be
                another one.
        """
        sampling = Sampling(
            self.strategy, self.per_species, self.seed, self.max_per_recording, self.min_spacing
        )
        choice = Choice(self.species, self.station)
        order = QueueOrder(sampling, choice, self.padding, self.ask_again)
        if self.renew and (self.name or order != QueueOrder()):
            raise OptionInvalid("give no other option: that queue is drawn already", "--renew")
        return order
