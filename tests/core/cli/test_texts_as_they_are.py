"""Names of files and species are printed and exported as they are, whatever they look like."""

import pytest

from badc_core.cli.output import Output, make_console, print_error
from badc_core.cli.tables import make_table

NAME = "a:x:b [red]c[/red] :smile: [/] \\[d] :bird:.wav"


@pytest.mark.parametrize("say", ["say", "remark", "warn", "fail", "print_commands"])
def test_a_line_is_printed_as_it_is(capsys, say) -> None:
    method = getattr(Output(), say)
    method([NAME]) if say == "print_commands" else method(NAME)
    printed = capsys.readouterr()
    assert NAME in printed.out + printed.err


def test_an_error_and_a_table_are_printed_as_they_are(capsys) -> None:
    print_error(NAME)
    Output().show(make_table(NAME, (NAME,), [(NAME,)]))
    make_console(stderr=True).print(NAME)
    printed = capsys.readouterr()
    assert printed.err.count(NAME) == 2
    assert printed.out.count(NAME) == 3


def test_a_dash_among_numbers_does_not_move_them_to_the_left(capsys) -> None:
    rows = [("a", "-", 5), ("b", "12.5", 10)]
    Output().show(make_table("", ("Name", "Probably right", "Found"), rows))
    lines = capsys.readouterr().out.split("\n")
    first, second = (line for line in lines if line.startswith(("a ", "b ")))
    assert first.index("-") == second.index("12.5") + 3


def test_what_a_program_says_on_several_lines_is_printed_on_one(capsys) -> None:
    said = "`git commit` failed: error: no  key\n\n  hint: see gpg\r\nfatal: none\n. Correct that"
    print_error(said)
    Output().warn(said)
    Output().fail(f"  {said}")
    joined = "`git commit` failed: error: no  key hint: see gpg fatal: none . Correct that"
    expected = [f"Error: {joined}", f"Warning: {joined}", f"  {joined}"]
    assert capsys.readouterr().err.splitlines() == expected
