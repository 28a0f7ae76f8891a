"""The report site: static pages about a dataset as a whole, which work from a USB stick too.

The page of a recording is in `reports/`, as are the stylesheet and the rendering of all pages.
"""
