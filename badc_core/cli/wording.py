"""How commands word what they tell."""


def counted(n: int, noun: str) -> str:
    """Returns a number and its noun: `1 chunk`, `2 chunks`."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def reason_alone(message: str, chunk_id: str) -> str:
    """Returns an error on one line, without the chunk_id it may begin with."""
    return " ".join(message.split()).removeprefix(f"{' '.join(chunk_id.split())}: ")
