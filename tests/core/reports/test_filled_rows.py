"""Rows of tables that are filled in without a loop in a template."""

from markupsafe import Markup

from badc_core.reports.page import fill_rows, make_link


def test_texts_of_rows_are_escaped_and_markup_stays():
    rows = [
        {"name": "A <b> & co", "link": Markup("<i>x</i>"), "n": 1200, "best": 0.987},
        {"name": "two\nlines", "link": "<u>", "n": 1, "best": 1.0},
    ]
    form = '<td title="{name}">{link}</td><td>{n:,} {n} {best:.2f}</td>'
    assert fill_rows(form, rows) == (
        '<td title="A &lt;b&gt; &amp; co"><i>x</i></td><td>1,200 1200 0.99</td>\n'
        '<td title="two\nlines">&lt;u&gt;</td><td>1 1 1.00</td>'
    )
    assert fill_rows("{name}", [{"name": "<"}, {"name": '"'}]) == "&lt;\n&#34;"
    assert fill_rows("{link}", [rows[0], rows[0]]) == "<i>x</i>\n<i>x</i>"
    assert fill_rows(form, []) == ""


def test_a_name_without_an_address_is_no_link():
    assert make_link("a%26b.html", "a&b") == '<a href="a%26b.html">a&amp;b</a>'
    assert make_link("", "a&b") == "a&amp;b"
