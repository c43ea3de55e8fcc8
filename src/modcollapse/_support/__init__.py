"""One answer each to questions that every room asks.

``optional``: is it installed? ``validation``: is it a whole number, a fraction, one of these names?
``digests``: is it the same? ``images``: what is an image?
"""
